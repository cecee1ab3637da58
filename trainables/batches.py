"""What a rank trains on in each step of an epoch: its share of the global batch, augmented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.augment import Augment, Draws, Rows, as_probabilities
from trainables.config import TrainConfig
from trainables.data import Dataset, as_floats
from trainables.errors import SettingError
from trainables.parallel.ddp import Group


@dataclass(frozen=True)
class Drawn:
    """An epoch as it is drawn, on the host: the order of the rows, and what happens to the row at each place."""

    order: Tensor
    plan: Rows


@dataclass(frozen=True)
class Batch:
    """One step's global batch of `size` rows; `parts`: this rank's inputs and targets, part by part, maybe none."""

    size: int
    parts: Iterator[tuple[Tensor, Tensor]]


class Batches:
    """Cuts the training part into global batches; order and changes are drawn alike on any number of workers.

    All that a step needs is on the device from the epoch's beginning: its place in the epoch, too, so that the same
    operations make every batch of one size. Raises SettingError for a batch that is too small for its workers, and for
    changes that do not suit the data.
    """

    def __init__(self, data: Dataset, config: TrainConfig, group: Group) -> None:
        _check_size(config.batch_size, group.replicas)
        self._train, self._classes = data.train.to(group.device), data.num_classes
        self._augment = Augment(config.augment, data.input_shape)
        self._accumulate, self._group = config.accumulate, group
        self.sizes = _sizes(len(data.train), config.batch_size)
        """Of an epoch's global batches: all alike but the last one."""
        self._place = torch.zeros(1, dtype=torch.int64, device=group.device)
        self._order = torch.arange(self.rows, device=group.device)
        self._plan: Rows | None = None
        self._drawn: Drawn | None = None

    @property
    def rows(self) -> int:
        """In an epoch."""
        return len(self._train)

    @property
    def steps(self) -> int:
        """In an epoch."""
        return len(self.sizes)

    @property
    def _on_gpu(self) -> bool:
        return self._group.device.type == "cuda"

    def draw(self, generator: torch.Generator) -> Drawn:
        """An epoch to begin, now or later: a GPU may be at work on another one meanwhile."""
        order = torch.randperm(self.rows, generator=generator)
        plan = self._augment.plan(Draws.of(self.rows, generator))
        return Drawn(order.pin_memory(), plan.pinned()) if self._on_gpu else Drawn(order, plan)

    def begin(self, drawn: Drawn) -> None:
        """Go to the beginning of that epoch."""
        self._drawn = drawn  # held while it is copied
        self._place.zero_()
        self._order.copy_(drawn.order, non_blocking=True)
        if self._plan is None:
            self._plan = drawn.plan.to(self._group.device)
        else:  # in the same memory, where a recorded step looks for it
            self._plan.values.copy_(drawn.plan.values, non_blocking=True)

    def next(self, size: int) -> Batch:
        """The batch of so many rows at the present place, which moves on; its parts are to be taken before the next."""
        self._place.add_(size)
        return Batch(size, self._parts(size))

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """Every row once, in the generator's order; the last batch is short."""
        self.begin(self.draw(generator))
        return map(self.next, self.sizes)

    def _parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of two rows at least, as BatchNorm needs two; one to be mixed is made with the row after it as well."""
        mine = self._group.share(size)
        rows = mine.stop - mine.start
        count = min(self._accumulate, rows // 2)
        for part in range(count):
            first, last = (mine.start + rows * end // count for end in (part, part + 1))
            which = torch.arange(first, last + self._augment.mixes, device=self._group.device)
            yield self._made(self._place - size + which % size)

    def _made(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """The rows at those places of the epoch."""
        assert self._plan is not None, "call begin() before anything else"
        indices, plan = self._order.index_select(0, places), self._plan.rows(places)
        inputs = as_floats(self._train.inputs.index_select(0, indices))
        targets = self._train.targets.index_select(0, indices)
        if self._group.stage == 0:  # no later stage reads them
            inputs = self._augment.change(inputs, plan)
        if not self._augment.mixes:
            return inputs, targets
        return self._augment.blend(inputs, as_probabilities(targets, self._classes), plan.rows(slice(0, -1)))


def _check_size(batch_size: int, replicas: int) -> None:
    if batch_size < 2 * replicas:
        rule = (
            f"must be 2 for each worker at least, as BatchNorm needs two, but got {batch_size} for {replicas} workers"
        )
        raise SettingError.at("batch_size", rule)


def _sizes(rows: int, size: int) -> list[int]:
    """The last one is short; a rest of one joins the batch before it: BatchNorm needs two."""
    sizes = [size] * (rows // size) + ([rows % size] if rows % size else [])
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes
