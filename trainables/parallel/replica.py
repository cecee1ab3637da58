"""Data parallelism: the whole model in each rank, of whose gradients all ranks take the sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.config import TrainConfig
from trainables.objectives import Objective
from trainables.parallel.ddp import Group
from trainables.parallel.sums import average_buffers, copy_from_first, sum_gradients
from trainables.precision import lay_out, lower_precision, takes_channels_last


class Replica:
    """An Engine (see there) that holds the whole model; alone in its group, it is plain training."""

    def __init__(self, model: nn.Module, objective: Objective, config: TrainConfig, group: Group) -> None:
        self.module = model.to(group.device)
        copy_from_first(self.module, group)
        self._channels_last = takes_channels_last(self.module, config, group.device)
        layout = torch.channels_last if self._channels_last else torch.contiguous_format
        self.module.to(memory_format=layout)  # type: ignore[call-overload]
        if config.compile is True:
            self.module.compile()
        self._objective = objective
        self._group = group
        self._type = lower_precision(config, group.device)

    def backward(self, inputs: Tensor, targets: Tensor, weight: float | Tensor) -> Tensor:
        inputs = lay_out(inputs, self._channels_last)
        with torch.autocast(inputs.device.type, self._type, enabled=self._type is not None):
            loss = self._objective(self.module(inputs), targets, inputs)
        total = loss * len(inputs)
        (total * weight).backward()
        return total.detach()

    def sync_gradients(self) -> None:
        sum_gradients(self.module.parameters(), self._group)

    def gradient_norm(self) -> Tensor:
        return nn.utils.get_total_norm([p.grad for p in self.module.parameters() if p.grad is not None])

    def sync_buffers(self) -> None:
        average_buffers(self.module, self._group)

    def logits(self, inputs: Tensor) -> Tensor | None:
        outputs: Tensor = self.module(lay_out(inputs, self._channels_last))
        return outputs

    def whole_name(self, name: str) -> str:
        return name

    def gather(self, named: dict[str, Any]) -> dict[str, Any]:
        return named
