"""What training makes smaller: the mean loss of a batch."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(outputs, targets, augmented inputs) of a batch to a scalar, the mean over its rows."""


def cross_entropy(logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
    """The objective where no other is given: the mean over the batch."""
    return functional.cross_entropy(logits, labels)
