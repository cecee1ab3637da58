"""Examples mixed with the next ones of the batch, targets likewise."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.augment.draws import Draws, Rows
from trainables.augment.geometry import Columns
from trainables.config import AugmentConfig


def shares(draws: Draws, config: AugmentConfig, shape: tuple[int, ...]) -> Columns:
    """For each input 1 where it is cut and 0 where it is blended, the share that blending leaves of it, and the sides
    of the rectangle that CutMix replaces (Yun et al. 2019, arXiv:1905.04899).

    A rectangle has the images' shape and the rest of their area; where it lies over the border, less of it is seen.
    """
    columns = {
        "cuts": (draws["mix_kind"] < _cut_probability(config)).float(),
        "blended": _beta(draws["mix_share"], config.mixup),
    }
    if config.cutmix:
        side = (1 - _beta(draws["mix_share"], config.cutmix)).sqrt()
        height, width = shape[-2:]
        columns["cut_top"], columns["cut_bottom"] = _span(height, side, draws["cut_down"])
        columns["cut_left"], columns["cut_right"] = _span(width, side, draws["cut_right"])
    return columns


def mix(inputs: Tensor, targets: Tensor, plan: Rows, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Each of the first B of B + 1 inputs mixed with the one after it; see Augment.mix."""
    share = plan["blended"]
    mixed = mixup(inputs[:-1], inputs[1:], share)
    if config.cutmix:
        boxes, cuts = _boxes(inputs, plan), plan["cuts"] > 0
        cut = torch.where(boxes, inputs[1:], inputs[:-1])
        mixed = torch.where(cuts.view(-1, 1, 1, 1), cut, mixed)
        share = torch.where(cuts, 1 - boxes.float().mean(dim=(1, 2, 3)), share)
    return mixed, mixup(targets[:-1], targets[1:], share)


def mixup(inputs: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """`share` (B,) of the one and the rest of the other, value by value (Zhang et al. 2018, arXiv:1710.09412)."""
    return torch.lerp(others, inputs, share.view(-1, *[1] * (inputs.ndim - 1)))


def _cut_probability(config: AugmentConfig) -> float:
    if not config.cutmix:
        return 0.0
    return 0.5 if config.mixup else 1.0


def _beta(uniform: Tensor, alpha: float) -> Tensor:
    """Draws of Beta(alpha, alpha) by its inverse distribution, so that they are a function of uniform draws (B,); 1 for
    an alpha of 0."""
    if not alpha:
        return torch.ones_like(uniform)
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, uniform.double().cpu().numpy())).to(uniform.device, uniform.dtype)


def _span(side: int, share: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Where a stretch of so much of a side begins and ends, around a place anywhere on it."""
    middle, half = draws * side, share * side / 2
    return middle - half, middle + half


def _boxes(inputs: Tensor, plan: Rows) -> Tensor:
    """The pixels with their middles in the rectangle, (B, 1, H, W)."""
    height, width = inputs.shape[-2:]
    rows = _between(height, plan["cut_top"], plan["cut_bottom"]).view(-1, 1, height, 1)
    return rows & _between(width, plan["cut_left"], plan["cut_right"]).view(-1, 1, 1, width)


def _between(side: int, start: Tensor, stop: Tensor) -> Tensor:
    place = torch.arange(side, device=start.device) + 0.5
    return (place > start.unsqueeze(1)) & (place < stop.unsqueeze(1))
