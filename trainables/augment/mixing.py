"""Examples mixed with the next ones of the batch, targets likewise."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.augment.draws import Draws


def mixup(inputs: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """`share` (B,) of the one and the rest of the other, value by value (Zhang et al. 2018, arXiv:1710.09412)."""
    return torch.lerp(others, inputs, share.view(-1, *[1] * (inputs.ndim - 1)))


def cut_boxes(shape: tuple[int, ...], draws: Draws, share: Tensor) -> Tensor:
    """The rectangles that CutMix replaces (Yun et al. 2019, arXiv:1905.04899), (B, 1, H, W).

    Each has the images' shape and 1 - `share` (B,) of their area; where it lies over the border, less of it is seen.
    """
    height, width = shape[-2:]
    side = (1 - share).sqrt()
    rows = _span(height, side, draws["cut_down"])
    return rows.view(-1, 1, height, 1) & _span(width, side, draws["cut_right"]).view(-1, 1, 1, width)


def beta(uniform: Tensor, alpha: float) -> Tensor:
    """Draws of Beta(alpha, alpha) by its inverse distribution, so that they are a function of uniform draws (B,)."""
    from scipy.special import betaincinv

    values = betaincinv(alpha, alpha, uniform.double().cpu().numpy())
    return torch.from_numpy(values).to(uniform.device, uniform.dtype)


def _span(side: int, share: Tensor, draws: Tensor) -> Tensor:
    """Which pixels of a side, (B, side), are in a stretch of so much of it around a place anywhere on it."""
    middle, half = (draws * side).unsqueeze(1), (share * side / 2).unsqueeze(1)
    place = torch.arange(side, device=share.device) + 0.5
    return (place > middle - half) & (place < middle + half)
