"""Values to predict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.dataset import DataError, Dataset
from trainables.data.splitting import source
from trainables.data.statistics import lost_in_float32


def as_values(where: str, targets: np.ndarray) -> Tensor:
    """Values (N, 1), float32, all finite. Raises DataError, which begins with `where`."""
    if targets.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold numbers for regression, but holds {_example(targets)} as {targets.dtype}")
    with np.errstate(over="ignore"):
        values = targets.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise DataError(f"{where} must be finite everywhere, but is {targets[wrong[0]]} in row {wrong[0]} (from 0)")
    if lost_in_float32(targets[:, np.newaxis])[0]:
        rule = f"must differ by more than {np.spacing(np.abs(values).max()):g}, the precision of float32 at their size"
        raise DataError(f"{where} {rule}; subtract a number near {targets[0]} from them")
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
