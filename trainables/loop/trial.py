"""What a training loop of the user's own knows of its trial, and tells of it."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter, OrderedDict
from collections.abc import Mapping
from math import prod
from typing import Any

from torch import Tensor

from trainables.checkpoint import CheckpointError, differing, load_last, replace_checkpoint, save_checkpoint
from trainables.claim import Claim
from trainables.storage import Place, join, sibling

CHECKPOINT = "last.pt"
BEST = "best.pt"
"""Of the states that were saved, the one with the best value of the metric."""
RESERVED = frozenset(
    [
        *("trial", "repeat", "status", "epoch", "best_epoch", "epochs", "seconds", "node", "faults", "error"),
        *("proposed", "started", "ended", "checkpoint"),
    ]
)
"""The columns of a run's tables beside those of the metrics."""
_PREFIX = "metric."
_BITS = 63
"""Of the whole numbers that a table holds."""

_VERSION = 1
_PLAIN = (bool, int, float, str, bytes, type(None))
_MAPPINGS = (dict, OrderedDict, Counter)


class LoopError(ValueError):
    """A loop that cannot be found, or that uses its trial wrongly; the message tells the rule."""


class LoopStopped(SystemExit):
    """The trial is over: raised by `report`, to unwind the loop as the end of a program would, through `finally`."""


class LoopTrial:
    """The handle that the user's loop gets; in a sweep and in the in-process twin it follows the same rules.

    Attributes:
        id: the trial's, in a run.
        seed: what the loop's random generators are to be seeded with.
        epochs: how many reports are wanted; no more are taken.
        folder: a path or URI where the loop may keep files of its own; None if there is none. A run removes it with
            the trial's checkpoint.
    """

    def __init__(self, config: Mapping[str, Any], *, id: str, folder: Place | None, metric: str | None) -> None:
        self.id = id
        self.seed: int = config["seed"]
        self.epochs: int = config["epochs"]
        self.folder = folder
        self.claim: Claim | None = None
        self.note = ""
        self._config, self._metric = dict(config), metric
        self._path = None if folder is None else join(folder, CHECKPOINT)
        self.mode = ""
        self._checkpoint = self._read()
        self._saved_at: list[int] = list(self._checkpoint.get("saved_at", [])) if self._checkpoint else []
        self._history: list[dict[str, Any]] = _history(self._checkpoint) if self._checkpoint else []
        self._reported, self._over = 0, False
        self._state: Any = None
        self._unsaved = False
        self._training_s = self._saving_s = 0.0
        self._since = time.perf_counter()

    def report(self, /, **metrics: Any) -> None:
        """Report one epoch's figures, under any names, and wait until the next epoch may begin.

        What was given to `save` since the last report is written first. Raises LoopStopped if the trial is over, and
        LoopError for anything but numbers, or without the metric that a sweep looks at.
        """
        if self._over or self._reported >= self.epochs:
            raise LoopStopped
        figures = _checked(metrics, self._metric)
        self._reported += 1
        seconds = time.perf_counter() - self._since
        self._training_s += seconds
        if self._reported > len(self._history):
            self._history.append({"epoch": self._reported, "metrics": figures, "seconds": seconds})
        self._write()
        self._tell(self._history[self._reported - 1])
        self._since = time.perf_counter()

    def save(self, state: Mapping[str, Any]) -> None:
        """Keeps a copy of `state`, to be written with the next report: call it before that.

        state: dicts, lists and tuples of tensors, numbers and text, such as `state_dict()` gives. Raises LoopError for
        anything else, since a checkpoint is read as data and never as code.
        """
        self._state, self._unsaved = _copy(state, "state"), True

    def load(self) -> Any:
        """What was saved last, tensors on the CPU, to go on from there; None if there is nothing.

        Reports then count from those that had been made when it was written.
        """
        if self._checkpoint is None:
            return None
        self._reported = len(self._checkpoint["history"])
        return _copy(self._checkpoint["state"], "state")

    def _tell(self, epoch: dict[str, Any]) -> None:
        """Called with each report; it may raise LoopStopped."""

    def _write(self) -> None:
        """Saves what `save` was given since it was last called, with the reports that belong to it."""
        if not self._unsaved:
            return
        started = time.perf_counter()
        history = self._history[: self._reported]
        self._saved_at = [*(number for number in self._saved_at if number < self._reported), self._reported]
        self._checkpoint = {"version": _VERSION, "config": self._config, "state": self._state, "history": history}
        self._checkpoint["saved_at"] = self._saved_at
        if self._path is not None:
            if self.claim:
                self.claim.check()
            if self._is_best():  # first, so that a kill between the two leaves the better one
                save_checkpoint(sibling(self._path, BEST), self._checkpoint)
            replace_checkpoint(self._path, self._checkpoint)
        self._unsaved = False
        self._saving_s += time.perf_counter() - started

    def _is_best(self) -> bool:
        """Whether no state saved before has a better value of the metric; never where nobody said which are better."""
        if not self.mode or not self._metric or not self._saved_at[-1]:
            return False
        values = [self._history[number - 1]["metrics"][self._metric] for number in self._saved_at if number]
        return bool(values[-1] == (min if self.mode == "min" else max)(values))

    def _read(self) -> dict[str, Any] | None:
        """The folder's checkpoint. Raises CheckpointError for a damaged one and for another config's."""
        if self._path is None:
            return None
        saved, self.note = load_last(self._path)
        if saved is None:
            return None
        if saved.get("version") != _VERSION or "state" not in saved:
            raise CheckpointError(f"{self._path} was not written by this version's trial.save()")
        if different := differing(self._config, saved["config"], but=["epochs"]):
            raise CheckpointError(f"{self._path} was made with another {', '.join(different)}")
        return saved


def column(metric: str) -> str:
    """The column of a metric in a run's tables: its name, after `metric.` where that is the name of another column."""
    taken = metric in RESERVED or metric.startswith(("time.", "config.", _PREFIX))
    return f"{_PREFIX}{metric}" if taken else metric


def _history(checkpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The reports of a checkpoint. Those of earlier versions have the metrics beside `epoch` and `seconds`."""
    entries: list[dict[str, Any]] = []
    for entry in checkpoint["history"]:
        ours = {name: entry[name] for name in ("epoch", "seconds")}
        flat = {name: value for name, value in entry.items() if name not in ours}
        entries.append({**ours, "metrics": flat["metrics"] if isinstance(flat.get("metrics"), dict) else flat})
    return entries


def _checked(metrics: Mapping[str, Any], wanted: str | None) -> dict[str, float | None]:
    """Plain numbers of what is reported, under names that can be written as text; NaN is None."""
    figures: dict[str, float | None] = {}
    for given, value in metrics.items():
        name = given.encode(errors="backslashreplace").decode()
        if name in figures:
            raise LoopError(f"report() must be given names that differ as text, but got {name} twice")
        figures[name] = _number(name, value)
    if wanted is not None and wanted not in figures:
        got = ", ".join(figures) or "nothing"
        raise LoopError(f"report() must be given the metric {wanted}, but got {got}")
    if wanted is not None and not _is_finite(figures[wanted]):
        raise LoopError(f"report() must be given a finite {wanted}, but got {metrics[wanted]}")
    return figures


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(name: str, value: Any) -> float | None:
    single = hasattr(value, "item") and prod(getattr(value, "shape", ())) == 1
    plain = value.item() if single else value
    if not isinstance(plain, int | float):
        raise LoopError(f"report() must be given numbers, but got a {type(value).__name__} for {name}")
    if isinstance(plain, int) and plain.bit_length() > _BITS:
        plain = _as_float(name, plain)
    return None if math.isnan(plain) else plain


def _as_float(name: str, number: int) -> float:
    try:
        rounded = float(number)
    except OverflowError:
        digits = f"a whole number of {number.bit_length()} bits"
        raise LoopError(f"report() must be given numbers that fit a float, but got {digits} for {name}") from None
    warnings.warn(f"{name} is a whole number of more than 63 bits; it is kept as the float {rounded:g}", stacklevel=4)
    return rounded


def _copy(value: Any, where: str) -> Any:
    """The value with tensors of its own, since those of the user's go on changing."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if type(value) in _PLAIN:
        return value
    if type(value) in _MAPPINGS:
        items = {_copy(key, where): _copy(item, f"{where}[{key!r}]") for key, item in value.items()}
        return type(value)(items)
    if type(value) in (list, tuple):
        return type(value)(_copy(item, f"{where}[{place}]") for place, item in enumerate(value))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise LoopError(f"save() must be given dicts, lists, numbers, text and tensors, but {where} is a {kind}")
