"""Weight averaging: what is evaluated and kept is the moving average of the weights, which is calmer than they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of a module's parameters and real-valued buffers (BatchNorm's statistics).

    Of `decay` by step, but less in the beginning, min(decay, (1 + step) / (10 + step)), so that the first weights are
    soon forgotten. Other buffers are the latest. With a decay of 0 nothing is averaged, and nothing costs anything.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._live = module.state_dict() if decay else {}
        self._averages = {name: value.clone() for name, value in self._live.items()}
        self._real = [name for name, value in self._live.items() if value.is_floating_point()]
        self._others = [name for name in self._live if name not in self._real]

    @torch.no_grad()
    def update(self) -> None:
        """Takes the present weights in; after each step."""
        if not self.decay:
            return
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        averages, live = ([tensors[name] for name in self._real] for tensors in (self._averages, self._live))
        torch._foreach_lerp_(averages, live, share)
        for name in self._others:
            self._averages[name].copy_(self._live[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averages inside, and its own weights again after it; what is changed inside is kept."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the module's names."""
        return self._averages

    def load_state_dict(self, averages: dict[str, Tensor], steps: int) -> None:
        self.steps = steps
        for name, value in self._averages.items():
            value.copy_(averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, live in self._live.items():
            kept = live.clone()
            live.copy_(self._averages[name])
            self._averages[name].copy_(kept)
