"""One rank of one trial after another: the process stays warm, and only loaded data outlives a trial."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import nn

from trainables.batches import Batches
from trainables.checkpoint import CheckpointError, differing, load_last, replace_checkpoint
from trainables.claim import Claim
from trainables.config import TrainConfig
from trainables.data import load_data
from trainables.model_state import load_model_state
from trainables.models import build_model
from trainables.parallel.ddp import SOLO, Group, all_sum, broadcast
from trainables.storage import Place, StoreError, join
from trainables.trainer import EpochMetrics, Trainer

CHECKPOINT = "last.pt"
TIMED = ("data", "build", "train", "evaluate", "checkpoint")
VERSION = 3
"""Of the checkpoints, which hold {"version", "config", "history", "trainer"}."""
_MAY_DIFFER = ("epochs", "parallel", "run", "compile")
_MEAN, _STD = "normalize.mean", "normalize.std"
_FARTHEST = 3
"""Standard deviations by which the mean of an input may move when rows are added to the data."""
# A checkpoint is due after so many times the seconds that writing the last one took: saving costs 5% at the most.
_TRAINING_PER_SAVING = 20

_METRICS = tuple(one.name for one in fields(EpochMetrics) if one.name not in ("epoch", "seconds"))

_load_data = lru_cache(maxsize=2)(load_data)


class Trainee(Protocol):
    """What a worker trains, epoch by epoch: a Trainer, or what has its methods."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def finished(self) -> bool: ...
    @property
    def batches(self) -> Batches: ...
    def epochs(self) -> Iterator[EpochMetrics]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Worker:
    """Every rank of a group makes the same calls in the same order.

    The last epoch and those of `save_at` are saved before they are reported; another one only if training since the
    last save took 20 times as long as this process's last save did. What a kill loses is trained again, silently as far
    as it was reported.
    """

    def __init__(self, group: Group = SOLO) -> None:
        self.group = group
        self._trainer: Trainee | None = None
        self._config: dict[str, Any] = {}
        self._epochs: Iterator[EpochMetrics] = iter(())
        self._history: list[dict[str, Any]] = []
        self._known = 0
        self._path: Place | None = None
        self._claim: Claim | None = None
        self._note = ""
        self._save_at: frozenset[int] = frozenset()
        self._unsaved_s = self._saving_s = 0.0
        self._timing = dict.fromkeys(TIMED, 0.0)

    def begin(
        self,
        config: dict[str, Any],
        folder: str | None,
        known_epochs: int = 0,
        save_at: Iterable[int] = (),
        claim: Mapping[str, str] | None = None,
    ) -> None:
        """Leaves the trial before and starts that of `config`, from the folder's checkpoint if it has one.

        known_epochs: how many of the trial's epochs were reported before; they are not reported again. save_at: the
        epochs after which it may be stopped for good. claim: of a `Claim`, without which nothing is written. Only rank
        0 reads and writes the folder. Raises CheckpointError for a damaged checkpoint or another config's, and
        StoreError if the folder cannot be read.
        """
        self._claim = Claim(**claim) if claim else None
        self._trainer, self._epochs = None, iter(())  # which gives the memory of the trial before back
        self._save_at = frozenset(save_at)
        self._path = join(folder, CHECKPOINT) if folder is not None else None
        self._unsaved_s = 0.0
        self._config, trainer = self._made(config)
        with self._timed("checkpoint"):
            self._history = self._restore(trainer)
        self._known = known_epochs
        self._trainer, self._epochs = trainer, trainer.epochs()

    def _made(self, config: dict[str, Any]) -> tuple[dict[str, Any], Trainee]:
        """The complete config, as a checkpoint holds it, and what trains it, before its first epoch."""
        checked = TrainConfig.model_validate(config)
        with self._timed("data"):
            data = _load_data(checked.data)
        with self._timed("build"):
            return checked.model_dump(), Trainer(checked, data, group=self.group)

    def _told(self, metrics: EpochMetrics) -> dict[str, Any]:
        """What is reported of an epoch that has just been trained."""
        return asdict(metrics)

    @property
    def trainer(self) -> Trainee:
        if self._trainer is None:
            raise RuntimeError("call begin() before anything else")
        return self._trainer

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to train or to report."""
        return self.trainer.finished and self._known >= len(self._history)

    def epoch(self) -> dict[str, Any]:
        """The report of the next epoch that was not reported, trained now or stored before.

        {"epoch": its number, "metrics": by name, "seconds", "finished", "timing": this worker's seconds since its
        previous report by what they went into, one for each of TIMED}, a student's "cost", and a "note" if its last
        checkpoint was damaged. A trial that is finished and known gives its last epoch once more.
        """
        while len(self._history) <= self._known and not self.trainer.finished:
            self._train()
        self._known = min(self._known + 1, len(self._history))
        timing, self._timing = self._timing, dict.fromkeys(TIMED, 0.0)
        report = report_of(self._history[self._known - 1]) | {"finished": self.finished, "timing": timing}
        note, self._note = self._note, ""
        return {**report, "note": note} if note else report

    def save(self) -> None:
        """Writes the checkpoint if the one on the disk is older. Every rank calls it; rank 0 writes."""
        if self._trainer is None or not self._unsaved_s or self._path is None:
            return
        before = self._timing["checkpoint"]
        with self._timed("checkpoint"):
            state = {"version": VERSION, "config": self._config, "history": self._history}
            state["trainer"] = self._trainer.state_dict()
            if self.group.rank == 0:
                if self._claim:
                    self._claim.check()
                replace_checkpoint(self._path, state)
        self._unsaved_s, self._saving_s = 0.0, self._timing["checkpoint"] - before

    def _train(self) -> None:
        """Trains one epoch, and saves it if that is due."""
        try:
            metrics = next(self._epochs)
        except BaseException:
            self._trainer = None  # torn in the middle of an epoch: nothing of it may be saved
            raise
        self._history.append(self._told(metrics))
        training = self.trainer.batches.rows / metrics.images_per_second
        self._timing["train"] += training
        self._timing["evaluate"] += metrics.seconds - training
        self._unsaved_s += metrics.seconds
        wanted = self.trainer.finished or metrics.epoch in self._save_at
        if wanted or self._agreed(self._unsaved_s >= _TRAINING_PER_SAVING * self._saving_s):
            self.save()

    def _agreed(self, yes: bool) -> bool:
        """What rank 0 says, whose clock differs from the others'."""
        says = float(yes and self.group.rank == 0)
        return bool(all_sum(torch.tensor(says, device=self.group.device), self.group).item())

    def _restore(self, trainer: Trainee) -> list[dict[str, Any]]:
        """Brings the trainer to where the folder's checkpoint is, in every rank; the metrics of its epochs."""
        saved = broadcast(self._saved() if self.group.rank == 0 else None, self.group)
        if saved is None:
            return []
        if isinstance(saved, CheckpointError | StoreError):
            raise saved
        _check_inputs(trainer.model, saved["trainer"].get("best", {}), str(self._path))
        trainer.load_state_dict(saved["trainer"])
        history: list[dict[str, Any]] = saved["history"]
        return history

    def _saved(self) -> dict[str, Any] | CheckpointError | StoreError | None:
        """The folder's checkpoint. An error is returned, for all ranks to raise it: else they would wait."""
        if self._path is None:
            return None
        try:
            saved, self._note = load_last(self._path)
            return None if saved is None else _checked(_of_version(saved, self._path), self._config, self._path)
        except (CheckpointError, StoreError) as error:
            return error

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._timing[part] += time.perf_counter() - started


def _checked(saved: dict[str, Any], config: dict[str, Any], path: Place) -> dict[str, Any]:
    """What was saved, if it is of this config. A trial may be prolonged, and shared among workers in another way."""
    ours, theirs = dict(config), _with_new_settings(saved["config"])
    for one in (ours, theirs):
        if "data" in one:
            one["data"] = {**one["data"], "path": None}  # data may be elsewhere by now, or on another machine
    if different := differing(ours, theirs, but=_MAY_DIFFER):
        raise CheckpointError(f"{path} was made with another {', '.join(different)}")
    return saved


def _with_new_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a checkpoint, also of an earlier version, which lacks the settings that have been added since."""
    return TrainConfig.model_validate(config).model_dump() if "data" in config else dict(config)


def _check_inputs(model: nn.Module, state: Mapping[str, Any], path: Place) -> None:
    """Raise CheckpointError for weights that were trained on inputs of other sizes, or in another place.

    An earlier version may have made other features of the same table.
    """
    buffers = dict(model.named_buffers())
    ours, theirs = buffers.get(_MEAN), state.get(_MEAN)
    if ours is None or theirs is None:
        return
    if ours.shape != theirs.shape:
        rule = f"was made of {theirs.numel()} features or channels, and the data now have {ours.numel()}"
        raise CheckpointError(f"{path} {rule}: start a new run")
    if ((ours - theirs.to(ours.device)).abs() > _FARTHEST * buffers[_STD]).any():
        raise CheckpointError(f"{path} was made of other features than the data now have: start a new run")


def report_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a checkpoint's history, in the shape of a report: EpochMetrics, and of students what they cost."""
    metrics = {name: value for name, value in entry.items() if name in _METRICS}
    cost = {name: value for name, value in entry.items() if name not in ("epoch", "seconds", *_METRICS)}
    report = {"epoch": entry["epoch"], "metrics": metrics, "seconds": entry["seconds"]}
    return {**report, "cost": cost} if cost else report


def read_checkpoint(path: Place) -> dict[str, Any]:
    """What a worker has saved last of a trial and is sound. Raises CheckpointError, FileNotFoundError or StoreError."""
    saved, _ = load_last(path)
    if saved is None:
        raise FileNotFoundError(str(path))
    return _of_version(saved, path)


def _of_version(saved: dict[str, Any], path: Place) -> dict[str, Any]:
    if saved.get("version") != VERSION:
        raise CheckpointError(f"{path} has version {saved.get('version')}, but this program reads {VERSION}")
    return saved


def load_best(path: Place) -> tuple[nn.Module, TrainConfig]:
    """The model with the best weights of a trial's checkpoint, on the CPU, and the config that trained it.

    Raises CheckpointError, FileNotFoundError or StoreError.
    """
    saved = read_checkpoint(path)
    config = TrainConfig.model_validate(saved["config"])
    model = build_model(config.model, _load_data(config.data))
    _check_inputs(model, saved["trainer"]["best"], path)
    load_model_state(model, saved["trainer"]["best"])
    return model, config
