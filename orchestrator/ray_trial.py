"""The process of a trial: a Tune trainable that holds a worker group and keeps it warm from trial to trial."""

from __future__ import annotations

from typing import Any

from ray import tune

from orchestrator.remote_errors import describe
from orchestrator.sweep import WorkerConfig
from orchestrator.worker_group import WorkerGroup, make_group


class TorchTrial(tune.Trainable):
    """One step is one epoch.

    Its config is a job: {"trial": id, "train": TrainConfig as JSON, "folder": where checkpoints go, "workers": …}.
    Checkpoints are the workers' own, one file a trial, so Tune's are not used. An error inside a trial is a result with
    an `error`, so that the process lives on for the next trial.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._group: WorkerGroup | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._error:
            return self._failed(self._error)
        try:
            metrics = self._ready_group().epoch()
        except Exception as error:
            return self._failed(describe(error))
        return {"metrics": metrics, "epoch": metrics["epoch"], "finished": metrics.pop("finished")}

    def cleanup(self) -> None:
        self._drop_group()

    def _begin(self, job: dict[str, Any]) -> None:
        """Readies the workers; what goes wrong here is this trial's failure, told at its first step."""
        self._workers = WorkerConfig(**job["workers"])
        self._error = ""
        try:
            self._ready_group().begin(job["train"], job["folder"])
        except Exception as error:
            self._error = describe(error)

    def _failed(self, error: str) -> dict[str, Any]:
        """A group that failed may be torn: the next trial gets a new one."""
        self._drop_group()
        return {"error": error}

    def _ready_group(self) -> WorkerGroup:
        if self._group is None:
            self._group = make_group(self._workers)
        return self._group

    def _drop_group(self) -> None:
        if self._group:
            self._group.close()
        self._group = None
