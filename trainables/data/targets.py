"""What is to be predicted: labels of classes, or values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.dataset import DataError, Dataset
from trainables.data.splitting import source


def as_labels(where: str, targets: np.ndarray, classes: tuple[str, ...], all_of_them: bool) -> Tensor:
    """Labels (N,), int64, below the number of classes. Raises DataError, which begins with `where`.

    all_of_them: whether each class must occur, as it must in what is trained on.
    """
    if len(classes) < 2:
        raise DataError(f"{where} must hold labels of two classes at least, but holds one only")
    with np.errstate(invalid="ignore"):
        labels = targets.astype(np.int64) if targets.dtype.kind in "fiub" else None
    if labels is None or not np.array_equal(labels, targets):
        odd = targets if labels is None else targets[labels != targets]
        raise DataError(f"{where} must hold whole numbers as labels, but holds {_example(odd)} as {targets.dtype}")
    wrong = labels[(labels < 0) | (labels >= len(classes))]
    missing = np.setdiff1d(np.arange(len(classes)), labels)
    if len(wrong) or (all_of_them and len(missing)):
        got = f"holds {wrong[0]}" if len(wrong) else f"has no {missing[0]}"
        rule = "each of which occurs" if all_of_them else "which occur in what is trained on"
        raise DataError(f"{where} must hold labels from 0 to {len(classes) - 1}, {rule}, but {got}")
    return torch.from_numpy(labels)


def as_values(where: str, targets: np.ndarray) -> Tensor:
    """Values (N, 1), float32, all finite. Raises DataError, which begins with `where`."""
    if targets.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold numbers for regression, but holds {_example(targets)} as {targets.dtype}")
    with np.errstate(over="ignore"):
        values = targets.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise DataError(f"{where} must be finite everywhere, but is {targets[wrong[0]]} in row {wrong[0]} (from 0)")
    return torch.from_numpy(values).unsqueeze(1)


def target_mean_std(data: Dataset, config: DataConfig) -> Dataset:
    """The dataset with the mean and the spread of its training part's values. Raises DataError if they are all one."""
    std, mean = torch.std_mean(data.train.targets.double(), dim=0)
    if not std > 1e-7 * mean.abs():
        raise DataError(
            f"{source(config)} must have different values to predict, but all to train on are {mean.item():g}"
        )
    return replace(data, target_mean=mean.float(), target_std=std.float())


def _example(targets: np.ndarray) -> str:
    return repr(targets[0].item())
