"""All that a model remembers, as one dict: what `state_dict()` gives, and its non-persistent buffers.

A non-persistent buffer may hold a statistic of the training like any other: without it the best weights are not those
that were validated, and an interrupted training is not the uninterrupted one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def model_state(model: nn.Module) -> dict[str, Any]:
    """References to the tensors of `model` by name, and what its modules give as extra state."""
    return {**dict(model.named_buffers(remove_duplicate=False)), **model.state_dict()}


def copied_state(model: nn.Module) -> dict[str, Any]:
    """As `model_state`, in memory of its own."""
    state = model_state(model).items()
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value) for name, value in state
    }


@torch.no_grad()
def load_model_state(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Set the model to `state`. A non-persistent buffer that is not in it keeps its value. Raises RuntimeError."""
    model.load_state_dict({name: state[name] for name in model.state_dict() if name in state})
    for name, buffer in model.named_buffers(remove_duplicate=False):
        if name in state and buffer.shape == state[name].shape:
            buffer.copy_(state[name])
        elif name in state:  # one that grows with what the model has seen
            owner, _, key = name.rpartition(".")
            model.get_submodule(owner)._buffers[key] = state[name].clone().to(buffer.device)


def has_values(tensor: Tensor) -> bool:
    """Dense numbers, which can be averaged and sent; sparse buffers are left as they are."""
    return tensor.layout is torch.strided and tensor.numel() > 0
