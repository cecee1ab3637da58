"""How a network is looked at: an example to call it with, and evaluation mode while that is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def example(model: nn.Module, input_shape: Sequence[int], batch: int = 2) -> Tensor:
    """Inputs to trace with; two, so that a reshape that mixes channels into the batch shows."""
    return torch.zeros(batch, *input_shape, device=device_of(model))


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters are; the CPU if there are none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and each module's own mode again after it."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
