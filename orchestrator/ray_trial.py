"""The process of a trial: a Tune trainable that holds a worker group and keeps it warm from trial to trial."""

from __future__ import annotations

import faulthandler
import platform
import time
from typing import Any

from ray import tune

from orchestrator.errors import unfinished
from orchestrator.remote_errors import cause, describe
from orchestrator.sweep import WorkerConfig
from orchestrator.worker_group import WorkerGroup, make_group
from trainables import DataError, Diverged, SettingError, StudentError
from trainables.loop import LoopError

REPORT_EVERY_S = 0.2
"""Short epochs are told together, so that a driver hears of a trial a few times a second at the most."""


class TorchTrial(tune.Trainable):
    """One step is one epoch or several short ones; its result is {"report": [report, ...]}, one for each.

    A step never goes past an epoch after which the trial may be stopped.

    Its config is a job: {"trial": id, "start": a `worker_group.Start`, "workers": a WorkerConfig, "hang_after":
    seconds}. Checkpoints are the workers' own, so Tune's are not used.

    A trial that diverges, whose data or model cannot be used or whose own loop reports what it must not, is a report
    with an `error`, and the process lives on for the next. After any other error nobody knows what state a process is
    in: it ends, and so does one that has nothing to report for too long, even if it is stuck in native code.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._group: WorkerGroup | None = None
        self._workers: WorkerConfig | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job, self._begun = new_config, False
        return True

    def step(self) -> dict[str, Any]:
        until = time.monotonic() + REPORT_EVERY_S
        reports = [self._watched_report()]
        while self._may_go_on(reports[-1]) and time.monotonic() < until:
            reports.append(self._watched_report())
        return {"report": reports}

    def cleanup(self) -> None:
        if self._group:
            self._group.close()

    def _may_go_on(self, report: dict[str, Any]) -> bool:
        """Whether the trial's next epoch can follow without the driver's word."""
        if "epoch" not in report or report["finished"]:
            return False
        return report["epoch"] not in self._job["start"]["save_at"]

    def _watched_report(self) -> dict[str, Any]:
        """The next report; the process is ended if it does not come in time."""
        faulthandler.dump_traceback_later(self._job["hang_after"], exit=True)
        try:
            return self._report()
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _report(self) -> dict[str, Any]:
        try:
            return {**self._ready_group().epoch(), "node": platform.node()}
        except Exception as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> dict[str, Any]:
        """A torn group goes with what it holds; only its own process outlives a trial that merely did not work."""
        origin = cause(error)
        if reason := unfinished(origin):
            return {"unfinished": reason}
        if not isinstance(origin, DataError | Diverged | SettingError | StudentError | LoopError):
            raise error
        self.cleanup()
        self._group = None
        return {"error": describe(error)}

    def _ready_group(self) -> WorkerGroup:
        """The workers, begun on this trial. They stay from trial to trial while their number and size do."""
        workers = WorkerConfig(**self._job["workers"])
        if self._group is None or workers != self._workers:
            self.cleanup()
            self._group, self._workers = make_group(workers, self._job["start"]), workers
        if not self._begun:
            self._group.begin(self._job["start"])
            self._begun = True
        return self._group
