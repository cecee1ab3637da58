"""How a config's name and arguments become a module."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from trainables.config import ModelConfig
from trainables.data import Dataset, as_floats
from trainables.errors import near_miss
from trainables.failure import describe
from trainables.imports import import_named
from trainables.models.arguments import ModelError, check_arguments
from trainables.models.cnn import cnn
from trainables.models.layers import Normalize, Rescale
from trainables.models.mlp import mlp
from trainables.models.mobile import mobile
from trainables.models.resnet import resnet

Builder = Callable[..., nn.Module]

BUILDERS: dict[str, Builder] = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "mobile": mobile}


def build_model(config: ModelConfig, data: Dataset) -> nn.Module:
    """The model for that data. Raises ModelError, also for one whose outputs do not fit the data's targets.

    Its first layer normalises: it takes images in [0, 1] or features as they are. What it gives, (B, classes) logits or
    (B, 1) values, is in the units of the targets.
    """
    network = _network(config, data)
    layers: dict[str, nn.Module] = {"normalize": Normalize(data.mean, data.std, data.input_shape), "network": network}
    _check_outputs(nn.Sequential(OrderedDict(layers)), config, data)
    if data.task == "regression":
        layers["values"] = Rescale(data.target_mean, data.target_std)
    return nn.Sequential(OrderedDict(layers))


def materialized(model: nn.Module, data: Dataset) -> nn.Module:
    """The model itself; lazily initialised layers have taken their shapes from two examples."""
    if any(is_lazy(value) for value in (*model.parameters(), *model.buffers())):
        was_training = model.training
        with torch.no_grad():
            model.eval()(as_floats(data.train.inputs[:2]))
        model.train(was_training)
    return model


def _network(config: ModelConfig, data: Dataset) -> nn.Module:
    builder = find_builder(config)
    try:
        network = builder(data.input_shape, data.num_outputs, **config.arguments)
    except ModelError:
        raise
    except Exception as error:  # whatever a user's builder may raise
        reason = describe(error).error
        raise ModelError.at("model", f"{config.name!r} cannot be built with {config.arguments}: {reason}") from error
    if not isinstance(network, nn.Module):
        raise ModelError.at("model.name", f"must make a torch.nn.Module, but {config.name!r} made {network!r:.40}")
    return network


def _check_outputs(model: nn.Module, config: ModelConfig, data: Dataset) -> None:
    """Two examples through the model, whose state it leaves as it is: they must fit, and tell how to train it."""
    examples, wanted = as_floats(data.train.inputs[:2]), data.num_outputs
    model.eval()
    try:
        with torch.enable_grad():
            outputs: Any = model(examples)
    except Exception as error:  # whatever a user's forward may raise
        reason = describe(error).error
        rule = f"{config.name!r} cannot take inputs of shape {tuple(examples.shape)}: {reason}"
        raise ModelError.at("model", rule) from error
    finally:
        model.train()
    shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
    if shape != (len(examples), wanted):
        what = f"{wanted} classes" if data.classes else "one value"
        rule = f"{config.name!r} must give (batch, {wanted}) outputs for {what}, but gave {shape} for a batch of 2"
        raise ModelError.at("model", rule)
    if not outputs.requires_grad:
        rule = f"{config.name!r} must give outputs that have a gradient for parameters to train, but gave some without"
        raise ModelError.at("model", rule)


def check_model(config: ModelConfig) -> None:
    """Whether the model can be built, as far as can be said without building it. Raises ModelError.

    The arguments of a shipped builder are looked at, of another one its signature.
    """
    find_builder(config)
    if config.name in BUILDERS:
        check_arguments(**config.arguments)


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
    return ModelError.at(f"model.{unknown[0]}", f"unknown argument; {listed}{near_miss(unknown[0], known)}")


def _imported(name: str) -> Builder:
    if ":" not in name:
        known = f"one of {', '.join(BUILDERS)} or 'package.module:Callable'"
        raise ModelError.at("model.name", f"must be {known}, but got {name!r}{near_miss(name, BUILDERS)}")
    try:
        builder: Builder = import_named(name)
    except ValueError as error:
        raise ModelError.at("model.name", str(error)) from error
    if not callable(builder):
        raise ModelError.at("model.name", f"must name a callable, but {name!r} is of type {type(builder).__name__}")
    return builder
