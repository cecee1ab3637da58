"""Random geometry for training images: a different change for each image, done as one operation a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from trainables.config import AugmentConfig

# One uniform number an image for: angle, shift right, shift down, flip, crop right, crop down.
_DRAWS = 6


class Augment:
    """Rotate, shift, flip and crop. Drawing and applying are apart, so that workers can share one draw."""

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (B, C, H, W) to changed images of the same shape."""
        return self.apply(images, self.draw(len(images), generator))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Uniform numbers in [0, 1), (n, 6), on the CPU: the changes to n images, whatever is switched on."""
        return torch.rand(n, _DRAWS, generator=generator)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Image i of (B, C, H, W) changed as row i of `draws` says."""
        draws = draws.to(images.device)
        if self.config.crop:
            images = _crop(images, draws[:, 4:6], self.config.crop)
        if self.config.flip:
            mirrored = (draws[:, 3] < self.config.flip).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(-1), images)
        if self.config.rotate or self.config.shift:
            signed = draws[:, :3] * 2 - 1
            angles = torch.deg2rad(signed[:, 0] * self.config.rotate)
            images = _rotate_and_shift(images, angles, signed[:, 1:] * self.config.shift)
        return images


def _crop(images: Tensor, draws: Tensor, pixels: int) -> Tensor:
    """Reflect a border of `pixels` and cut each image out of it at its own place."""
    n, _, height, width = images.shape
    if pixels >= min(height, width):
        raise ValueError(f"`crop < side` must hold, but got crop={pixels} for images of {height}x{width}")
    padded = pad(images, (pixels,) * 4, mode="reflect")
    start = (draws * (2 * pixels + 1)).long()
    columns = start[:, :1] + torch.arange(width, device=images.device)
    rows = start[:, 1:] + torch.arange(height, device=images.device)
    picked = torch.arange(n, device=images.device).view(-1, 1, 1)
    # Indexing moves the channels last: (n, H, W, C).
    return padded[picked, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2).contiguous()


def _rotate_and_shift(images: Tensor, angles: Tensor, shifts: Tensor) -> Tensor:
    """Angles (B,) in radians about the centre, shifts (B, 2) right and down as fractions of the sides."""
    height, width = images.shape[-2:]
    cos, sin = angles.cos(), angles.sin()
    # The grid's axes run from -1 to 1 whatever the sides, so the rotation carries the aspect ratio.
    right = torch.stack((cos, -sin * height / width, -2 * shifts[:, 0]), dim=1)
    down = torch.stack((sin * width / height, cos, -2 * shifts[:, 1]), dim=1)
    theta = torch.stack((right, down), dim=1).to(images.dtype)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
