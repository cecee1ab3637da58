"""Labels of classes, numbered from 0 by the values that stand for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.data.dataset import DataError

_MOST_WHOLE_CLASSES = 20
_MOST_NAMED = 20


@dataclass(frozen=True)
class Classes:
    """Names of the classes, in the order of their labels, and the value that stands for each in the targets."""

    names: tuple[str, ...]
    values: np.ndarray

    def labels(self, where: str, targets: np.ndarray) -> Tensor:
        """Labels (N,), int64. Raises DataError, which begins with `where`, for a value that stands for none."""
        values = comparable(where, targets)
        if (values.dtype.kind == "U") != (self.values.dtype.kind == "U"):
            rule = f"must hold labels such as {self.values[0].item()!r}, as the training part does"
            raise DataError(f"{where} {rule}, but holds {_example(targets)} as {targets.dtype}")
        order = np.argsort(self.values)
        places = np.searchsorted(self.values, values, sorter=order).clip(max=len(order) - 1)
        labels = order[places]
        unknown = np.flatnonzero(self.values[labels] != values)
        if len(unknown):
            got = f"holds {_example(targets[unknown])} in row {unknown[0]} (from 0)"
            raise DataError(f"{where} must hold labels of {self._known()}, but {got}")
        return torch.from_numpy(labels.astype(np.int64))

    def check_all_occur(self, where: str, labels: Tensor) -> None:
        """Raise DataError, which begins with `where`, for a class without examples."""
        missing = np.flatnonzero(torch.bincount(labels, minlength=len(self.names)).numpy() == 0)
        if len(missing):
            raise DataError(
                f"{where} must hold labels of {self._known()}, each of which occurs, but has no "
                f"{self.values[missing[0]].item()!r}"
            )

    def _known(self) -> str:
        if self.values.dtype.kind != "U" and (np.diff(self.values) == 1).all():
            return f"{self.values[0]} to {self.values[-1]}"
        more = ", …" if len(self.values) > _MOST_NAMED else ""
        return ", ".join(str(value) for value in self.values[:_MOST_NAMED].tolist()) + more


def find_classes(where: str, targets: np.ndarray, certain: bool = True) -> Classes:
    """The values of the training part in their order, by which the classes are called.

    certain: False refuses numbers that may as well be values to predict. Raises DataError, which begins with `where`.
    """
    values = np.unique(comparable(where, targets))
    if len(values) < 2:
        raise DataError(f"{where} must hold labels of two classes at least, but holds one only")
    most = max(_MOST_WHOLE_CLASSES, len(targets) / 10)
    if not certain and len(values) > most and values.dtype.kind != "U" and not _counts_from_zero(values):
        rule = "needs data.task: classification, or regression for values to predict"
        raise DataError(f"{where} {rule}, since it holds {len(values)} different whole numbers")
    names = values.astype(bool) if targets.dtype.kind == "b" else values
    return Classes(tuple(map(str, names.tolist())), values)


def named_classes(where: str, targets: np.ndarray, names: tuple[str, ...]) -> Classes:
    """Classes of those names, which the targets hold as they are, or else as their places from 0 or from 1.

    Raises DataError, which begins with `where`.
    """
    values = comparable(where, targets)
    if values.dtype.kind == "U":
        return Classes(names, np.array(names))
    first = int(values.min() == 1 and values.max() == len(names))
    return Classes(names, np.arange(first, first + len(names)))


def comparable(where: str, targets: np.ndarray) -> np.ndarray:
    """Labels as int64 or as text. Raises DataError, which begins with `where`, for what is neither."""
    if targets.dtype.kind in "UM":
        return targets.astype(str)
    if targets.dtype.kind == "S":
        return _decoded(where, targets)
    with np.errstate(invalid="ignore"):
        whole = targets.astype(np.int64) if targets.dtype.kind in "fiub" else None
    if whole is None or not np.array_equal(whole, targets):
        odd = targets if whole is None else targets[whole != targets]
        raise DataError(f"{where} must hold whole numbers or texts as labels, but holds {_example(odd)} as {odd.dtype}")
    return whole


def from_one_hot(where: str, targets: np.ndarray) -> np.ndarray:
    """The column (N,) of the 1 in each row (N, C) of 0 and 1. Raises DataError, which begins with `where`."""
    wrong = np.flatnonzero(((targets != 0) & (targets != 1)).any(1) | (targets.sum(1) != 1))
    if len(wrong):
        got = f"row {wrong[0]} (from 0) is {targets[wrong[0]].tolist()!r:.80}"
        raise DataError(f"{where} must hold one 1 in each row and 0 elsewhere, but {got}")
    column: np.ndarray = targets.argmax(1)
    return column


def _decoded(where: str, targets: np.ndarray) -> np.ndarray:
    try:
        return np.char.decode(targets, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} must hold labels in UTF-8, but holds {error.object!r:.80}") from error


def _counts_from_zero(values: np.ndarray) -> bool:
    return bool(values[0] == 0 and values[-1] == len(values) - 1)


def _example(targets: np.ndarray) -> str:
    return repr(targets[0].item())
