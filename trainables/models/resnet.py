"""A residual network."""

from __future__ import annotations

from torch import nn

from trainables.models.arguments import check_arguments, check_images
from trainables.models.layers import Residual, head
from trainables.models.layers import stem as stem_layers


def resnet(
    input_shape: tuple[int, ...], outputs: int, width: int = 16, depth: int = 1, dropout: float = 0.0, stem: int = 1
) -> nn.Module:
    """Three stages of `depth` blocks, with `width`, 2 and 4 times `width` channels; `stem` is the first stride.

    Raises ModelError for arguments of which no network can be made, and for features.
    """
    check_arguments(width, depth, dropout, stem)
    check_images("resnet", input_shape)
    layers, channels = stem_layers(input_shape[0], width, stem), width
    for stage in range(3):
        for block in range(depth):
            layers.append(Residual(channels, width << stage, stride=2 if stage and not block else 1))
            channels = width << stage
    return nn.Sequential(*layers, *head(channels, outputs, dropout))
