"""A network of depthwise separable convolutions, as phones run them."""

from __future__ import annotations

from torch import nn

from trainables.models.arguments import check_arguments, check_images
from trainables.models.layers import InvertedResidual, convolution, head
from trainables.models.layers import stem as stem_layers

_EXPANSION = 4


def mobile(
    input_shape: tuple[int, ...], outputs: int, width: int = 16, depth: int = 2, dropout: float = 0.0, stem: int = 1
) -> nn.Module:
    """Three stages of `depth` inverted residuals, with `width`, 2 and 4 times `width` channels, then a 1x1 convolution.

    Raises ModelError for arguments of which no network can be made, and for features.
    """
    check_arguments(width, depth, dropout, stem)
    check_images("mobile", input_shape)
    layers, channels = stem_layers(input_shape[0], width, stem), width
    for stage in range(3):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            layers.append(InvertedResidual(channels, width << stage, stride, _EXPANSION))
            channels = width << stage
    layers += [*convolution(channels, _EXPANSION * channels, size=1), nn.ReLU6()]
    return nn.Sequential(*layers, *head(_EXPANSION * channels, outputs, dropout))
