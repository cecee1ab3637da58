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


def _called(function: Callable[[int], None], size: int) -> None:
    function(size)


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


def measure(
    outputs_of: Callable[[Tensor], Tensor | None], split: Split, group: Group, *, unit: float = 1.0
) -> Evaluation:
    """As `evaluate`, of what gives the outputs for a batch, or None on a rank where they do not come out."""
    return Measurement(outputs_of, split, group, unit=unit).run()


class Measurement:
    """Measures models on the examples of a split, which are on the group's device, again and again.

    outputs_of, unit: see `measure` and `evaluate`.
    """

    def __init__(
        self, outputs_of: Callable[[Tensor], Tensor | None], split: Split, group: Group, *, unit: float = 1.0
    ) -> None:
        self._outputs_of, self.split, self._group, self._unit = outputs_of, split, group, unit
        self._mine = group.share(len(split))
        rows = self._mine.stop - self._mine.start
        self.sizes = [_BATCH] * (rows // _BATCH) + ([rows % _BATCH] if rows % _BATCH or not rows else [])
        self._values = split.targets.is_floating_point()
        # Sums about a value near all others: the squares of large ones would hide how far they are apart.
        self._sums = partial(_value_sums, centre=split.targets[:1].double()) if self._values else _label_sums
        self._place = torch.zeros(1, dtype=torch.int64, device=group.device)
        self._totals = torch.zeros(3, dtype=torch.float64, device=group.device)

    def run(self, call: Callable[[Callable[[int], None], int], None] = _called) -> Evaluation:
        """Of the model as it is now. call: calls a function with the number of rows to measure next."""
        self._place.fill_(self._mine.start)
        self._totals.zero_()
        for size in self.sizes:
            call(self._next, size)
        first, second, third = all_sum(self._totals, self._group).tolist()
        n = len(self.split)
        if not self._values:
            return Evaluation(first / n, accuracy=second / n)
        # The validation targets do not vary where all are the same: nothing is explained then.
        spread = third - second**2 / n
        return Evaluation(first / n / self._unit**2, r2=1 - first / spread if spread > 0 else 0.0)

    @torch.no_grad()  # not inference mode: a module may keep what it makes here for training
    def _next(self, size: int) -> None:
        """Adds the sums of so many rows, all of it on the device."""
        part = self.split.rows(self._place, size)
        outputs = self._outputs_of(as_floats(part.inputs))
        if outputs is not None:
            self._totals += self._sums(outputs, part.targets)
        self._place += size


def _label_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy, right answers, and nothing."""
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    correct = (logits.argmax(1) == labels).sum()
    return torch.stack((loss.double(), correct.double(), torch.zeros_like(loss, dtype=torch.float64)))


def _value_sums(outputs: Tensor, values: Tensor, *, centre: Tensor) -> Tensor:
    """Squared errors, distances to `centre`, squared distances."""
    errors, values = outputs.double() - values, values.double() - centre
    return torch.stack((errors.square().sum(), values.sum(), values.square().sum()))
