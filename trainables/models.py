"""The shipped models, and how a config's name and arguments become a module."""

from __future__ import annotations

import importlib
import inspect
from collections import OrderedDict
from collections.abc import Callable
from math import prod

from torch import Tensor, nn

from trainables.config import ModelConfig
from trainables.data import Dataset

Builder = Callable[..., nn.Module]


class ModelError(ValueError):
    """A model that cannot be found, or arguments that its builder does not take."""


class Normalize(nn.Module):
    """Images in [0, 1] to zero mean and unit variance a channel; `mean` and `std` are (C,) buffers."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean.clone().reshape(-1, 1, 1))
        self.register_buffer("std", std.clone().clamp_min(1e-6).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., arXiv:1512.03385); stride 2 halves the side."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(inputs, outputs, stride), nn.ReLU(), *_convolution(outputs, outputs, 1))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(*_convolution(inputs, outputs, stride, size=1))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


def _convolution(inputs: int, outputs: int, stride: int, size: int = 3) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return conv, nn.BatchNorm2d(outputs)


def resnet(
    input_shape: tuple[int, ...], classes: int, width: int = 16, depth: int = 1, dropout: float = 0.0
) -> nn.Module:
    """A residual network of three stages of `depth` blocks, with `width`, 2 and 4 times `width` channels."""
    layers: list[nn.Module] = [*_convolution(input_shape[0], width, 1), nn.ReLU()]
    channels = width
    for stage in range(3):
        for block in range(depth):
            layers.append(Residual(channels, width << stage, stride=2 if stage and not block else 1))
            channels = width << stage
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)


def mlp(
    input_shape: tuple[int, ...], classes: int, width: int = 128, depth: int = 2, dropout: float = 0.0
) -> nn.Module:
    """A perceptron of `depth` hidden layers of `width` units."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = prod(input_shape)
    for _ in range(depth):
        layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        layers.append(nn.Dropout(dropout))
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


BUILDERS: dict[str, Builder] = {"mlp": mlp, "resnet": resnet}


def build_model(config: ModelConfig, data: Dataset) -> nn.Module:
    """The model, with normalisation as its first layer: it takes images in [0, 1]. Raises ModelError."""
    builder = find_builder(config)
    try:
        network = builder(data.input_shape, data.num_classes, **config.arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"model {config.name!r} cannot be built with {config.arguments}: {error}") from error
    return nn.Sequential(OrderedDict(normalize=Normalize(data.mean, data.std), network=network))


def find_builder(config: ModelConfig) -> Builder:
    """The builder that `config` names, if its signature takes the arguments. Raises ModelError."""
    builder = BUILDERS.get(config.name) or _imported(config.name)
    signature = inspect.signature(builder)
    try:
        signature.bind((1, 8, 8), 10, **config.arguments)
    except TypeError as error:
        known = ", ".join(list(signature.parameters)[2:]) or "none"
        raise ModelError(f"model {config.name!r}: {error}; its arguments are: {known}") from error
    return builder


def _imported(name: str) -> Builder:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ModelError(
            f"model.name must be one of {', '.join(BUILDERS)} or 'package.module:Callable', but got {name!r}"
        )
    try:
        builder: Builder = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(f"model.name {name!r} cannot be imported: {error}") from error
    if not callable(builder):
        raise ModelError(f"model.name {name!r} is not callable, but {type(builder).__name__}")
    return builder
