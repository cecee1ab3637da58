"""Changes of the values of an image's pixels. Images are (B, C, H, W) throughout, of values from 0 to 1."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from trainables.augment.draws import Draws, Rows
from trainables.augment.geometry import Columns
from trainables.config import AugmentConfig

# The smallest area and the longest shape of what is erased, as Zhong et al. have them.
_LEAST_AREA, _LONGEST = 0.02, 1 / 0.3


def adjustments(draws: Draws, config: AugmentConfig) -> Columns:
    """For each image the factor of its values' distance to their mean, and what is added."""
    return {
        "factor": 1 + config.contrast * draws.signed("contrast"),
        "added": config.brightness * draws.signed("brightness"),
    }


def adjust(images: Tensor, plan: Rows) -> Tensor:
    """Each image's values moved away from their mean or towards it, and up or down."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    factor, added = plan["factor"].view(-1, 1, 1, 1), plan["added"].view(-1, 1, 1, 1)
    return ((images - mean) * factor + mean + added).clamp_(0, 1)


def rectangles(draws: Draws, config: AugmentConfig, height: int, width: int) -> Columns:
    """For each image the sides of what is erased, equal where nothing is, and the grey (random erasing: Zhong et al.
    2017, arXiv:1708.04896)."""
    least = min(_LEAST_AREA, config.erase_area)
    covered = least + (config.erase_area - least) * draws["erase_area"]
    shape = (draws.signed("erase_shape") * log(_LONGEST)).exp()
    chosen = draws["erase"] < config.erase
    top, bottom = _span(height, (covered * shape).sqrt() * chosen, draws["erase_down"])
    left, right = _span(width, (covered / shape).sqrt() * chosen, draws["erase_right"])
    return {"top": top, "bottom": bottom, "left": left, "right": right, "grey": draws["erase_grey"]}


def erase(images: Tensor, plan: Rows) -> Tensor:
    """A rectangle in one grey."""
    height, width = images.shape[-2:]
    rows = within(height, plan["top"], plan["bottom"]).view(-1, 1, height, 1)
    columns = within(width, plan["left"], plan["right"]).view(-1, 1, 1, width)
    return torch.where(rows & columns, plan["grey"].view(-1, 1, 1, 1), images)


def within(side: int, start: Tensor, stop: Tensor) -> Tensor:
    """Which pixels of a side, (B, side), have their upper edge in [start, stop)."""
    place = torch.arange(side, device=start.device)
    return (place >= start.unsqueeze(1)) & (place < stop.unsqueeze(1))


def _span(side: int, share: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Where a stretch of so much of a side begins and ends that lies wholly on it."""
    length = (share * side).round().clamp_(max=side)
    start = (draws * (side - length + 1)).floor()
    return start, start + length
