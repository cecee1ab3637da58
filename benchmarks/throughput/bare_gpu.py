"""The limits on a GPU: a trial's step in as few lines as it takes, launched from Python or replayed as one graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional
from torch.optim import SGD

from trainables import Augment, Dataset, Draws, TrainConfig, as_floats, build_model


class Bare:
    """The step, with data, order, changes, weights and their averages on the GPU."""

    def __init__(self, config: TrainConfig, data: Dataset, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self._device = device
        self._size, self._decay = config.batch_size, config.ema
        self._inputs, self._targets = data.train.inputs.to(device), data.train.targets.to(device)
        self._augment = Augment(config.augment, data.input_shape)
        self._model = build_model(config.model, data).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        rate = torch.tensor(config.optimizer.lr, device=device)
        self._optimizer = SGD(self._model.parameters(), rate, momentum=0.9, nesterov=True, fused=True)
        self._weights = list(self._model.parameters())
        self._averages = [weight.detach().clone() for weight in self._weights]
        self._place = torch.zeros(1, dtype=torch.int64, device=device)
        self._loss = torch.zeros((), device=device)
        self._generator = torch.Generator().manual_seed(config.seed)
        self._order = torch.arange(len(self._targets), device=device)
        self._plan = self._augment.plan(Draws.of(len(self._order), self._generator)).to(device)

    @property
    def steps(self) -> int:
        """Whole batches of an epoch."""
        return len(self._order) // self._size

    def begin(self) -> None:
        self._order.copy_(torch.randperm(len(self._order), generator=self._generator))
        self._plan.values.copy_(self._augment.plan(Draws.of(len(self._order), self._generator)).values)
        self._place.zero_()

    def step(self) -> None:
        rows = self._place + torch.arange(self._size, device=self._device)
        picked, plan = self._order.index_select(0, rows), self._plan.rows(rows)
        images = self._augment.change(as_floats(self._inputs.index_select(0, picked)), plan)
        with torch.autocast(self._device.type, torch.bfloat16):
            outputs = self._model(images.to(memory_format=torch.channels_last))
            loss = functional.cross_entropy(outputs, self._targets.index_select(0, picked))
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._average()
        self._loss += loss.detach()
        self._place += self._size

    @torch.no_grad()
    def _average(self) -> None:
        torch._foreach_lerp_(self._averages, self._weights, 1 - self._decay)


def launched(config: TrainConfig, data: Dataset, device: torch.device) -> Iterator[float]:
    """Pictures a second of each epoch, every step launched from Python."""
    bare = Bare(config, data, device)
    while True:
        yield _timed(bare, config.batch_size, bare.step)


def replayed(config: TrainConfig, data: Dataset) -> Iterator[float]:
    """Pictures a second of each epoch, every step the replay of one graph."""
    bare, stream, graph = Bare(config, data, torch.device("cuda", 0)), torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(3):
            bare.step()
    with torch.cuda.graph(graph, stream=stream):
        bare.step()
    while True:
        yield _timed(bare, config.batch_size, graph.replay)


def _timed(bare: Bare, size: int, step: Callable[[], None]) -> float:
    started = _now()
    bare.begin()
    for _ in range(bare.steps):
        step()
    return bare.steps * size / (_now() - started)


def _now() -> float:
    """The time at which the GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
