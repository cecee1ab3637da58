"""What training makes smaller: the mean loss of a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from trainables.data import Dataset

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(outputs, targets, augmented inputs) of a batch to a scalar, the mean over its rows."""


def make_objective(data: Dataset, label_smoothing: float = 0.0) -> Objective:
    """The one for the data's task, where no other is given."""
    if data.task == "regression":
        return partial(squared_error, unit=float(data.target_std))
    return partial(cross_entropy, label_smoothing=label_smoothing)


def cross_entropy(logits: Tensor, targets: Tensor, inputs: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Logits (B, K) against labels (B,) or probabilities (B, K)."""
    return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def squared_error(values: Tensor, targets: Tensor, inputs: Tensor, *, unit: float = 1.0) -> Tensor:
    """Values against targets, (B, 1) each, as multiples of `unit`: in standard deviations, guessing the mean gets 1."""
    return functional.mse_loss(values / unit, targets / unit)
