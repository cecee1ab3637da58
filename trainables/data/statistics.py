"""Mean and spread of numbers, by which models put them on one scale."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_COARSEST = 0.1
"""Step of float32 between numbers that differ, in standard deviations."""
_ROUNDING = 1e-13
"""Spread of equal numbers by rounding in float64, relative to their size."""


def mean_std(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel of images (N, C, H, W) or each feature (N, F), as floats; a std of 0 becomes 1.

    Of uint8 from counts, so that no float copy of all images is made.
    """
    if inputs.dtype == torch.uint8:
        mean, std = _of_bytes(inputs)
    else:
        every = (0, *range(2, inputs.ndim))
        # Pixels are all of one size, features may be of any.
        std, mean = torch.std_mean(inputs.double() if inputs.ndim == 2 else inputs, dim=every)
    # What is constant but for rounding tells nothing: divided by its spread, any other value would be enormous.
    constant = std <= 1e-7 * mean.abs()
    return mean.float(), std.where(~constant, 1.0).float()


def lost_in_float32(values: np.ndarray) -> np.ndarray:
    """(F,), True for each column of finite numbers (N, F) that differ by less than float32 can tell where they are."""
    doubles = values.astype(np.float64, copy=False)
    size, spread = np.abs(doubles).max(axis=0), doubles.std(axis=0)
    differ = (values != values[:1]).any(axis=0)
    if values.dtype.kind == "f":
        differ &= spread > _ROUNDING * size
    lost: np.ndarray = differ & (np.spacing(size.astype(np.float32)) > _COARSEST * spread)
    return lost


def _of_bytes(images: Tensor) -> tuple[Tensor, Tensor]:
    channels = images.transpose(0, 1).flatten(1)
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = counts @ values / counts.sum(1)
    squares = (counts * (values - mean[:, None]) ** 2).sum(1)
    return mean, (squares / (counts.sum(1) - 1)).sqrt()
