"""One rank of one trial after another: the process stays warm, and only loaded data outlives a trial."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from trainables.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from trainables.config import TrainConfig
from trainables.data import load_data
from trainables.models import build_model
from trainables.parallel.ddp import SOLO, Group, broadcast
from trainables.trainer import EpochMetrics, Trainer

CHECKPOINT = "last.pt"
_VERSION = 1

_load_data = lru_cache(maxsize=2)(load_data)


class Worker:
    """Every rank of a group makes the same calls in the same order."""

    def __init__(self, group: Group = SOLO) -> None:
        self.group = group
        self._trainer: Trainer | None = None
        self._epochs: Iterator[EpochMetrics] = iter(())
        self._path: Path | None = None

    def begin(self, config: dict[str, Any], folder: str | None) -> None:
        """Leaves the trial before and starts that of `config`, from the folder's checkpoint if it has one.

        Only rank 0 reads and writes the folder. Raises CheckpointError for a damaged one or another config's.
        """
        checked = TrainConfig.model_validate(config)
        self._trainer, self._epochs = None, iter(())
        self._path = Path(folder) / CHECKPOINT if folder is not None else None
        trainer = Trainer(checked, _load_data(checked.data), group=self.group)
        state = broadcast(self._saved(checked) if self.group.rank == 0 else None, self.group)
        if isinstance(state, CheckpointError):
            raise state
        if state is not None:
            trainer.load_state_dict(state)
        self._trainer, self._epochs = trainer, trainer.epochs()

    @property
    def trainer(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError("call begin() before anything else")
        return self._trainer

    @property
    def done_epochs(self) -> int:
        """Whole epochs behind this trial, those before a resume included."""
        return self.trainer.epoch

    @property
    def finished(self) -> bool:
        return self.trainer.finished

    def epoch(self) -> dict[str, Any]:
        """Trains one epoch; its metrics and `finished`. The checkpoint is on the disk when this returns."""
        if self.finished:
            raise RuntimeError(f"the trial is finished: no epoch follows epoch {self.done_epochs}")
        metrics = next(self._epochs)
        if self.group.rank == 0 and self._path:
            save_checkpoint(self._path, self._state())
        return asdict(metrics) | {"finished": self.finished}

    def _state(self) -> dict[str, Any]:
        config = self.trainer.config.model_dump(mode="json")
        return {"version": _VERSION, "config": config, "trainer": self.trainer.state_dict()}

    def _saved(self, config: TrainConfig) -> dict[str, Any] | CheckpointError | None:
        """The folder's trainer state. An error is returned, for all ranks to raise it: else they would wait."""
        if self._path is None or not self._path.exists():
            return None
        try:
            return _checked(load_checkpoint(self._path), config, self._path)
        except CheckpointError as error:
            return error


def _checked(saved: dict[str, Any], config: TrainConfig, path: Path) -> dict[str, Any]:
    """The trainer's state, if it is of this config; only `epochs` may differ: a trial may be prolonged."""
    if saved.get("version") != _VERSION:
        raise CheckpointError(f"{path} has version {saved.get('version')}, but this program reads {_VERSION}")
    ours, theirs = config.model_dump(mode="json"), dict(saved["config"])
    different = [key for key in ours if key != "epochs" and ours[key] != theirs.get(key)]
    if different:
        raise CheckpointError(f"{path} was made with another {', '.join(different)}")
    state: dict[str, Any] = saved["trainer"]
    return state


def load_best(path: Path) -> tuple[nn.Module, TrainConfig]:
    """The model with the best weights of a trial's checkpoint, on the CPU, and the config that trained it.

    Raises CheckpointError or FileNotFoundError.
    """
    saved = load_checkpoint(path)
    config = TrainConfig.model_validate(saved["config"])
    model = build_model(config.model, _load_data(config.data))
    model.load_state_dict(saved["trainer"]["best"])
    return model, config
