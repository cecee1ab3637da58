"""A perceptron."""

from __future__ import annotations

from math import prod

from torch import nn

from trainables.models.arguments import check_arguments


def mlp(
    input_shape: tuple[int, ...], outputs: int, width: int = 128, depth: int = 2, dropout: float = 0.0
) -> nn.Module:
    """`depth` hidden layers of `width` units with BatchNorm, for images and for features.

    Raises ModelError for arguments of which no network can be made.
    """
    check_arguments(width, depth, dropout)
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = prod(input_shape)
    for _ in range(depth):
        layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        layers.append(nn.Dropout(dropout))
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
