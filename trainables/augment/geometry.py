"""Changes of where an image's pixels are. Images are (B, C, H, W) throughout."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from trainables.augment.draws import Draws
from trainables.config import AugmentConfig


def crop(images: Tensor, draws: Draws, pixels: int) -> Tensor:
    """Reflect a border of `pixels` and cut each image out of it at its own place."""
    n, _, height, width = images.shape
    padded = pad(images, (pixels,) * 4, mode="reflect")
    columns = _start(draws["crop_right"], pixels) + torch.arange(width, device=images.device)
    rows = _start(draws["crop_down"], pixels) + torch.arange(height, device=images.device)
    picked = torch.arange(n, device=images.device).view(-1, 1, 1)
    # Indexing moves the channels last: (n, H, W, C).
    return padded[picked, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2).contiguous()


def _start(draws: Tensor, pixels: int) -> Tensor:
    return (draws * (2 * pixels + 1)).long().unsqueeze(1)


def flip(images: Tensor, draws: Tensor, probability: float, side: int) -> Tensor:
    """Images mirrored along `side`, each with that probability."""
    mirrored = (draws < probability).view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(side), images)


def resample(images: Tensor, draws: Draws, config: AugmentConfig) -> Tensor:
    """Rotate, shift, zoom and shear as one bilinear resampling; what comes from outside is 0."""
    height, width = images.shape[-2:]
    back = _inverse(draws, config, aspect=height / width).unsqueeze(-1)
    # A place of the source is a sum of what its column and its row give; affine_grid would multiply matrices.
    columns = back[:, :, 0] * _middles(width, images.device)
    rows = back[:, :, 1] * _middles(height, images.device) + back[:, :, 2]
    grid = (columns.unsqueeze(2) + rows.unsqueeze(3)).permute(0, 2, 3, 1)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _middles(side: int, device: torch.device) -> Tensor:
    """Where the pixels of a side have their middles, from -1 to 1."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1


def _inverse(draws: Draws, config: AugmentConfig, aspect: float) -> Tensor:
    """For each image where in it (from -1 to 1, right and down) a place of the result comes from, (B, 2, 3).

    The result is the image zoomed, its upper rows sheared to the left, then turned anticlockwise about its centre, then
    shifted right and down.
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
    return torch.cat((back, -(back * moved.unsqueeze(1)).sum(2, keepdim=True)), dim=2)
