"""Changes of where an image's pixels are. Images are (B, C, H, W) throughout.

What the draws mean is computed apart, for a whole epoch at once: columns of a plan, of which each step takes its rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from trainables.augment.draws import Draws, Rows
from trainables.config import AugmentConfig

Columns = dict[str, Tensor]


def moves(draws: Draws, config: AugmentConfig) -> Columns:
    """For each image the first row and column of its crop, counted from the border's, and 1 where it is mirrored."""
    return {
        "crop_right": (draws["crop_right"] * (2 * config.crop + 1)).floor(),
        "crop_down": (draws["crop_down"] * (2 * config.crop + 1)).floor(),
        "flip": (draws["flip"] < config.flip).float(),
        "flip_vertical": (draws["flip_vertical"] < config.flip_vertical).float(),
    }


def move(images: Tensor, plan: Rows, config: AugmentConfig) -> Tensor:
    """Crop out of a reflected border, then mirror, as one lookup of each pixel where there is a border."""
    if not config.crop:
        return _flip(_flip(images, plan["flip"], config.flip, -1), plan["flip_vertical"], config.flip_vertical, -2)
    height, width = images.shape[-2:]
    rows = _sources(height, plan["crop_down"], plan["flip_vertical"], config.crop)
    columns = _sources(width, plan["crop_right"], plan["flip"], config.crop)
    places = (rows * width).unsqueeze(2) + columns.unsqueeze(1)
    flat = places.view(-1, 1, height * width).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, flat).view(images.shape)


def _flip(images: Tensor, mirrored: Tensor, probability: float, side: int) -> Tensor:
    return torch.where(mirrored.view(-1, 1, 1, 1) > 0, images.flip(side), images) if probability else images


def _sources(side: int, start: Tensor, mirrored: Tensor, border: int) -> Tensor:
    """Where along a side the pixels of each result come from, (B, side)."""
    place = torch.arange(side, device=start.device)
    place = torch.where(mirrored.unsqueeze(1) > 0, side - 1 - place, place)
    inside = (place + start.long().unsqueeze(1) - border).abs()
    return torch.minimum(inside, 2 * (side - 1) - inside)


def affine(draws: Draws, config: AugmentConfig, aspect: float) -> Columns:
    """For each image where in it (from -1 to 1, right and down) a place of the result comes from.

    (right, down) of the source is (xx, yx) times right plus (xy, yy) times down plus (x0, y0). The result is the image
    zoomed, its upper rows sheared to the left, then turned anticlockwise about its centre, then shifted right and down.
    """
    angle = torch.deg2rad(draws.signed("angle") * config.rotate)
    slope = torch.deg2rad(draws.signed("shear") * config.shear).tan()
    scale = 1 + draws.signed("zoom") * config.zoom
    cos, sin = angle.cos(), angle.sin()
    # The grid's axes run from -1 to 1 whatever the sides, so what leads from one to the other carries the aspect ratio.
    right = torch.stack((cos - slope * sin, -(sin + slope * cos) * aspect), dim=1)
    down = torch.stack((sin / aspect, cos), dim=1)
    back = torch.stack((right, down), dim=1) / scale.view(-1, 1, 1)
    moved = 2 * config.shift * torch.stack((draws.signed("right"), draws.signed("down")), dim=1)
    start = -(back * moved.unsqueeze(1)).sum(2)
    (xx, xy), (yx, yy), (x0, y0) = back[:, 0].unbind(1), back[:, 1].unbind(1), start.unbind(1)
    return {"xx": xx, "xy": xy, "yx": yx, "yy": yy, "x0": x0, "y0": y0}


def resample(images: Tensor, plan: Rows) -> Tensor:
    """Rotate, shift, zoom and shear as one bilinear resampling; what comes from outside is 0."""
    height, width = images.shape[-2:]
    # A place of the source is a sum of what its column and its row give; affine_grid would multiply matrices.
    across, along, start = (_pair(plan, *names) for names in (("xx", "yx"), ("xy", "yy"), ("x0", "y0")))
    columns = across * _middles(width, images.device)
    rows = along * _middles(height, images.device) + start
    grid = (columns.unsqueeze(2) + rows.unsqueeze(3)).permute(0, 2, 3, 1)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _pair(plan: Rows, right: str, down: str) -> Tensor:
    """(B, 2, 1)."""
    return torch.stack((plan[right], plan[down]), dim=1).unsqueeze(-1)


def _middles(side: int, device: torch.device) -> Tensor:
    """Where the pixels of a side have their middles, from -1 to 1."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1
