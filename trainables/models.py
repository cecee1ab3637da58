"""The shipped models, and how a config's name and arguments become a module."""

from __future__ import annotations

import importlib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from math import prod
from typing import Self

from torch import Tensor, nn

from trainables.config import ModelConfig
from trainables.data import Dataset

Builder = Callable[..., nn.Module]
MOST_WIDTH = 2**16
MOST_DEPTH = 100


class ModelError(ValueError):
    """A model that cannot be found, or arguments that its builder does not take; the message begins with the key."""

    key: str = "model"

    @classmethod
    def at(cls, key: str, rule: str) -> Self:
        """The error of a key of the model's section; the rule says what was got as well."""
        error = cls(f"{key}: {rule}")
        error.key = key
        return error


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
    """A residual network of three stages of `depth` blocks, with `width`, 2 and 4 times `width` channels.

    Raises ModelError for arguments of which no network can be made.
    """
    _check_arguments(width, depth, dropout)
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
    """A perceptron of `depth` hidden layers of `width` units.

    Raises ModelError for arguments of which no network can be made.
    """
    _check_arguments(width, depth, dropout)
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = prod(input_shape)
    for _ in range(depth):
        layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        layers.append(nn.Dropout(dropout))
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def _check_arguments(width: object = 1, depth: object = 1, dropout: object = 0.0) -> None:
    """Of the shipped builders, before anything is allocated: a slip of the finger must not fill the memory."""
    for name, value, most in (("width", width, MOST_WIDTH), ("depth", depth, MOST_DEPTH)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ModelError.at(f"model.{name}", f"must be a whole number from 1 to {most}, but got {value!r:.40}")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ModelError.at("model.dropout", f"must be a number from 0 to below 1, but got {dropout!r}")


BUILDERS: dict[str, Builder] = {"mlp": mlp, "resnet": resnet}


def build_model(config: ModelConfig, data: Dataset) -> nn.Module:
    """The model, with normalisation as its first layer: it takes images in [0, 1]. Raises ModelError."""
    builder = find_builder(config)
    try:
        network = builder(data.input_shape, data.num_classes, **config.arguments)
    except ModelError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError.at("model", f"{config.name!r} cannot be built with {config.arguments}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ModelError.at("model.name", f"must make a torch.nn.Module, but {config.name!r} made {network!r:.40}")
    return nn.Sequential(OrderedDict(normalize=Normalize(data.mean, data.std), network=network))


def check_model(config: ModelConfig) -> None:
    """Whether the model can be built, as far as can be said without building it. Raises ModelError.

    The arguments of a shipped builder are looked at, of another one its signature.
    """
    find_builder(config)
    if config.name in BUILDERS:
        _check_arguments(**config.arguments)


def find_builder(config: ModelConfig) -> Builder:
    """The builder that `config` names, if its signature takes the arguments. Raises ModelError."""
    builder = BUILDERS.get(config.name) or _imported(config.name)
    try:
        signature = inspect.signature(builder)
    except ValueError as error:
        rule = "must be a builder (input_shape, classes, **arguments) of a module, but got"
        raise ModelError.at("model.name", f"{rule} {config.name!r}, which shows no arguments") from error
    try:
        signature.bind((1, 8, 8), 10, **config.arguments)
    except TypeError as error:
        raise _misfit(config, signature, error) from error
    return builder


def _misfit(config: ModelConfig, signature: inspect.Signature, error: TypeError) -> ModelError:
    known = list(signature.parameters)[2:]
    open_ended = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
    listed = f"{config.name!r} takes {', '.join(known) or 'no arguments'}"
    unknown = [name for name in config.arguments if name not in known and not open_ended]
    if not unknown:
        return ModelError.at("model", f"{config.name!r}: {error}; {listed}")
    return ModelError.at(f"model.{unknown[0]}", f"unknown argument; {listed}{_near(unknown[0], known)}")


def _imported(name: str) -> Builder:
    module, colon, attribute = name.partition(":")
    if not colon:
        known = f"one of {', '.join(BUILDERS)} or 'package.module:Callable'"
        raise ModelError.at("model.name", f"must be {known}, but got {name!r}{_near(name, BUILDERS)}")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever a user's module may raise
        reason = f"{type(error).__name__}: {error}"
        raise ModelError.at("model.name", f"{name!r} cannot be imported: {reason}") from error
    builder: Builder | None = getattr(found, attribute, None)
    if builder is None:
        hint = _near(attribute, [known for known in vars(found) if not known.startswith("_")])
        raise ModelError.at("model.name", f"{name!r} cannot be imported: {module} has no {attribute!r}{hint}")
    if not callable(builder):
        raise ModelError.at("model.name", f"must name a callable, but {name!r} is of type {type(builder).__name__}")
    return builder


def _near(name: str, known: Iterable[str]) -> str:
    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
