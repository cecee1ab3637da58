"""The parts that the shipped models are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Inputs to zero mean and unit variance: images by channel, features each; `mean` and `std` are (C,) or (F,)."""

    def __init__(self, mean: Tensor, std: Tensor, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        shape = (-1, *[1] * (len(input_shape) - 1))
        self.register_buffer("mean", mean.clone().reshape(shape))
        self.register_buffer("std", torch.where(std > 0, std, 1.0).reshape(shape))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.std


class Rescale(nn.Module):
    """Outputs of a regression, (B, 1), from zero mean and unit variance to the targets' units."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())

    def forward(self, outputs: Tensor) -> Tensor:
        return outputs * self.std + self.mean


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., arXiv:1512.03385); stride 2 halves the side."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*convolution(inputs, outputs, stride), nn.ReLU(), *convolution(outputs, outputs))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(*convolution(inputs, outputs, stride, size=1))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


class InvertedResidual(nn.Module):
    """Wider by `expansion`, filtered channel by channel, narrow again (Sandler et al., arXiv:1801.04381)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.body = nn.Sequential(
            *convolution(inputs, wide, size=1),
            nn.ReLU6(),
            *convolution(wide, wide, stride, groups=wide),
            nn.ReLU6(),
            *convolution(wide, outputs, size=1),
        )
        self.adds = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.adds else out


def convolution(
    inputs: int, outputs: int, stride: int = 1, size: int = 3, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    """A convolution that keeps the side (but for the stride), and BatchNorm, which has the bias."""
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(outputs)


def stem(inputs: int, width: int, stride: int) -> list[nn.Module]:
    """The first convolution; of stride 4 two of them, each of which halves the side."""
    layers: list[nn.Module] = []
    for _ in range(stride // 2 or 1):
        layers += [*convolution(inputs, width, min(stride, 2)), nn.ReLU()]
        inputs = width
    return layers


def head(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    """From (B, inputs, H, W) to (B, outputs)."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(inputs, outputs)]
