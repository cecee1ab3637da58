"""Changes of the values of an image's pixels. Images are (B, C, H, W) throughout, of values from 0 to 1."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from trainables.augment.draws import Draws

# The smallest area and the longest shape of what is erased, as Zhong et al. have them.
_LEAST_AREA, _LONGEST = 0.02, 1 / 0.3


def adjust(images: Tensor, draws: Draws, brightness: float, contrast: float) -> Tensor:
    """Each image's values moved away from their mean or towards it, and up or down."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    factor = 1 + contrast * draws.signed("contrast").view(-1, 1, 1, 1)
    added = brightness * draws.signed("brightness").view(-1, 1, 1, 1)
    return ((images - mean) * factor + mean + added).clamp_(0, 1)


def erase(images: Tensor, draws: Draws, probability: float, area: float) -> Tensor:
    """A rectangle of random area and shape in one grey (random erasing: Zhong et al. 2017, arXiv:1708.04896)."""
    height, width = images.shape[-2:]
    least = min(_LEAST_AREA, area)
    covered = least + (area - least) * draws["erase_area"]
    shape = (draws.signed("erase_shape") * log(_LONGEST)).exp()
    chosen = draws["erase"] < probability
    rows = _span(height, (covered * shape).sqrt() * chosen, draws["erase_down"])
    columns = _span(width, (covered / shape).sqrt() * chosen, draws["erase_right"])
    inside = rows.view(-1, 1, height, 1) & columns.view(-1, 1, 1, width)
    return torch.where(inside, draws["erase_grey"].view(-1, 1, 1, 1), images)


def _span(side: int, share: Tensor, draws: Tensor) -> Tensor:
    """Which pixels of a side, (B, side), are in a stretch of so much of it that lies wholly on it."""
    length = (share * side).round().clamp_(max=side)
    start = (draws * (side - length + 1)).floor()
    place = torch.arange(side, device=share.device)
    return (place >= start.unsqueeze(1)) & (place < (start + length).unsqueeze(1))
