"""A plain convolutional network."""

from __future__ import annotations

from torch import nn

from trainables.models.arguments import check_arguments, check_images
from trainables.models.layers import convolution, head


def cnn(input_shape: tuple[int, ...], outputs: int, width: int = 16, depth: int = 1, dropout: float = 0.0) -> nn.Module:
    """Three stages of `depth` 3x3 convolutions, of `width`, 2 and 4 times `width` channels, with pooling between them.

    Raises ModelError for arguments of which no network can be made, and for features.
    """
    check_arguments(width, depth, dropout)
    check_images("cnn", input_shape)
    layers: list[nn.Module] = []
    channels = input_shape[0]
    for stage in range(3):
        if stage:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        for _ in range(depth):
            layers += [*convolution(channels, width << stage), nn.ReLU()]
            channels = width << stage
    return nn.Sequential(*layers, *head(channels, outputs, dropout))
