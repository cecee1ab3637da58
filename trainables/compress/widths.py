"""What pruning made of an architecture, as data: the whole one's code and this build the pruned model again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

Widths = dict[str, dict[str, int | list[int]]]
"""For each module that shrank, by its name: the attributes and tensors' shapes that have changed. Fit for JSON."""


class WidthError(ValueError):
    """Widths or weights that do not belong to the model."""


def widths_of(pruned: nn.Module, whole: nn.Module) -> Widths:
    """How `pruned` differs from `whole`, from which it was made by taking out channels."""
    parents = dict(whole.named_modules())
    found = {name: _changes(module, parents[name]) for name, module in pruned.named_modules()}
    return {name: changes for name, changes in found.items() if changes}


def narrowed(model: nn.Module, widths: Mapping[str, Mapping[str, Any]]) -> nn.Module:
    """A copy of the whole `model` with those widths; the values of tensors that change their shape are arbitrary.

    Raises WidthError if they are not this model's.
    """
    model = copy.deepcopy(model)
    modules = dict(model.named_modules())
    for name, changes in widths.items():
        if name not in modules:
            raise WidthError(f"the model has no layer {name!r}, which the widths of a pruned model name")
        for attribute, value in changes.items():
            _change(modules[name], name, attribute, value)
    return model


def load_pruned(model: nn.Module, widths: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Tensor]) -> nn.Module:
    """A pruned model from the whole one's architecture, what it was cut to, and its weights; no parent is needed.

    model: as its builder makes it; it stays as it is. weights: a state dict, such as load_weights() gives.
    Raises WidthError if the parts do not fit together.
    """
    pruned = narrowed(model, widths)
    try:
        pruned.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise WidthError(f"the weights do not fit the pruned model: {error}") from error
    return pruned


def _changes(module: nn.Module, parent: nn.Module) -> dict[str, int | list[int]]:
    before, after = _sizes(parent), _sizes(module)
    return {name: size for name, size in after.items() if size != before.get(name)}


def _sizes(module: nn.Module) -> dict[str, int | list[int]]:
    """The whole numbers and tuples of them that are attributes, and the shapes of the tensors."""
    sizes: dict[str, int | list[int]] = {}
    for name, value in vars(module).items():
        if isinstance(value, int) and not isinstance(value, bool):
            sizes[name] = value
        elif isinstance(value, tuple) and all(isinstance(part, int) for part in value):
            sizes[name] = list(value)
    for name, tensor in _tensors(module).items():
        sizes[name] = list(tensor.shape)
    return sizes


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    held = {**module._parameters, **module._buffers}
    return {name: tensor for name, tensor in held.items() if tensor is not None}


def _change(module: nn.Module, where: str, attribute: str, value: Any) -> None:
    known, tensor = _sizes(module).get(attribute), _tensors(module).get(attribute)
    if known is None or isinstance(known, int) is not isinstance(value, int):
        raise WidthError(f"layer {where!r} has no such width as {attribute} = {value!r:.40}")
    if tensor is not None:
        setattr(module, attribute, _empty(tensor, value, f"{attribute} of layer {where!r}"))
    else:
        setattr(module, attribute, tuple(value) if isinstance(value, list) else value)


def _empty(tensor: Tensor, shape: list[int], name: str) -> Tensor:
    """A tensor of that shape in place of a larger one."""
    if len(shape) != tensor.ndim or any(not 0 < new <= old for new, old in zip(shape, tensor.shape, strict=True)):
        raise WidthError(f"{name} has the shape {list(tensor.shape)}, and {shape} is no part of it")
    empty = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
