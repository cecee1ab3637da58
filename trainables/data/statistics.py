"""Mean and spread of inputs, by which models put them on one scale."""

from __future__ import annotations

import torch
from torch import Tensor


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


def _of_bytes(images: Tensor) -> tuple[Tensor, Tensor]:
    channels = images.transpose(0, 1).flatten(1)
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = counts @ values / counts.sum(1)
    squares = (counts * (values - mean[:, None]) ** 2).sum(1)
    return mean, (squares / (counts.sum(1) - 1)).sqrt()
