"""How good a model is on a part of the data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data import Split, as_floats
from trainables.parallel.ddp import SOLO, Group, all_sum

_BATCH = 512


class Evaluation(NamedTuple):
    """loss: mean cross entropy, or squared error in squared units of the training targets' standard deviation.

    accuracy: fraction, None for regression. r2: share of the targets' variance that is explained, None for classes.
    """

    loss: float
    accuracy: float | None = None
    r2: float | None = None


def evaluate(model: nn.Module, split: Split, group: Group = SOLO, *, unit: float = 1.0) -> Evaluation:
    """Of the whole split, of which each rank takes its part. unit: the training targets' standard deviation."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        return measure(model, split.to(device), group, unit=unit)
    finally:
        model.train(was_training)


@torch.no_grad()  # not inference mode: a module may keep what it makes here for training
def measure(
    outputs_of: Callable[[Tensor], Tensor | None], split: Split, group: Group, *, unit: float = 1.0
) -> Evaluation:
    """As `evaluate`, of what gives the outputs for a batch, or None on a rank where they do not come out."""
    mine, values = group.share(len(split)), split.targets.is_floating_point()
    # Sums about a value near all others: the squares of large ones would hide how far they are apart.
    count = partial(_value_sums, centre=split.targets[:1].double()) if values else _label_sums
    totals = torch.zeros(3, dtype=torch.float64, device=group.device)
    for start in range(mine.start, mine.stop, _BATCH):
        rows = slice(start, min(start + _BATCH, mine.stop))
        outputs = outputs_of(as_floats(split.inputs[rows]))
        if outputs is not None:
            totals += count(outputs, split.targets[rows])
    first, second, third = all_sum(totals, group).tolist()
    n = len(split)
    if not values:
        return Evaluation(first / n, accuracy=second / n)
    # The validation targets do not vary where all are the same: nothing is explained then.
    spread = third - second**2 / n
    return Evaluation(first / n / unit**2, r2=1 - first / spread if spread > 0 else 0.0)


def _label_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy, right answers, and nothing."""
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    correct = (logits.argmax(1) == labels).sum()
    return torch.stack((loss.double(), correct.double(), torch.zeros_like(loss, dtype=torch.float64)))


def _value_sums(outputs: Tensor, values: Tensor, *, centre: Tensor) -> Tensor:
    """Squared errors, distances to `centre`, squared distances."""
    errors, values = outputs.double() - values, values.double() - centre
    return torch.stack((errors.square().sum(), values.sum(), values.square().sum()))
