"""What a rank trains on in each step of an epoch: its share of the global batch, augmented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.augment import Augment, Draws, as_probabilities
from trainables.config import TrainConfig
from trainables.data import Dataset, as_floats
from trainables.errors import SettingError
from trainables.parallel.ddp import Group


@dataclass(frozen=True)
class Batch:
    """One step's global batch of `size` rows; `parts`: this rank's inputs and targets, part by part, maybe none."""

    size: int
    parts: Iterator[tuple[Tensor, Tensor]]


class Batches:
    """Cuts the training part into global batches; order and changes are drawn alike on any number of workers.

    Raises SettingError for a batch that is too small for its workers, and for changes that do not suit the data.
    """

    def __init__(self, data: Dataset, config: TrainConfig, group: Group) -> None:
        _check_size(config.batch_size, group.replicas)
        self._train, self._classes = data.train.to(group.device), data.num_classes
        self._augment = Augment(config.augment, data.input_shape)
        self._size, self._accumulate, self._group = config.batch_size, config.accumulate, group

    @property
    def rows(self) -> int:
        """In an epoch."""
        return len(self._train)

    @property
    def steps(self) -> int:
        """In an epoch."""
        return len(_cut(torch.empty(self.rows), self._size))

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """Every row once, in the generator's order; the last batch is short."""
        for order in _cut(torch.randperm(self.rows, generator=generator), self._size):
            draws = Draws.of(len(order), generator)
            yield Batch(len(order), self._parts(order, draws))

    def _parts(self, order: Tensor, draws: Draws) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of two rows at least, as BatchNorm needs two; one to be mixed is made with the row after it as well."""
        mine = self._group.share(len(order))
        rows = mine.stop - mine.start
        count = min(self._accumulate, rows // 2)
        for part in range(count):
            first, last = (mine.start + rows * end // count for end in (part, part + 1))
            if self._augment.mixes:
                which = torch.arange(first, last + 1) % len(order)
                yield self._mixed(order[which], draws.rows(which))
            else:
                yield self._changed(order[first:last], draws.rows(slice(first, last)))

    def _changed(self, indices: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        indices = indices.to(self._group.device)
        inputs = as_floats(self._train.inputs.index_select(0, indices))
        if self._group.stage == 0:  # no later stage reads them
            inputs = self._augment.apply(inputs, draws.to(inputs.device))
        return inputs, self._train.targets.index_select(0, indices)

    def _mixed(self, indices: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        inputs, targets = self._changed(indices, draws)
        mixing = draws.rows(slice(0, -1)).to(inputs.device)
        return self._augment.mix(inputs, as_probabilities(targets, self._classes), mixing)


def _check_size(batch_size: int, replicas: int) -> None:
    if batch_size < 2 * replicas:
        rule = (
            f"must be 2 for each worker at least, as BatchNorm needs two, but got {batch_size} for {replicas} workers"
        )
        raise SettingError.at("batch_size", rule)


def _cut(order: Tensor, size: int) -> list[Tensor]:
    """Consecutive parts, the last one short; a rest of one joins the part before it: BatchNorm needs two."""
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
