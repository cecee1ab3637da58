"""What changes from step to step of an epoch: the learning rate, the share of the moving average, the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer


class StepValues:
    """The values of the present step, read from a table of the epoch's.

    On a CPU they are numbers. On a GPU they are tensors that each step looks up on the device, by a number that it
    counts up there: nothing waits for the host, and the same operations make every step.

    Attributes:
        lr, share: the present step's; on a GPU always the same tensors, which an optimiser may hold.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._step = torch.zeros(1, dtype=torch.int64, device=device)
        self._row = torch.zeros(1, 2, device=device)
        self._table = torch.zeros(0, 2, device=device)
        self._values: list[tuple[float, float]] = []
        self._losses = torch.zeros(0, device=device)
        self.lr: float | Tensor = self._row[0, 0] if self._on_gpu else 0.0
        self.share: float | Tensor = self._row[0, 1] if self._on_gpu else 0.0

    @property
    def losses(self) -> Tensor:
        """Of all steps of the epoch, (steps,)."""
        return self._losses

    def begin(self, rates: Sequence[float], shares: Sequence[float]) -> None:
        """An epoch of as many steps as there are rates and shares; of every epoch the same number."""
        self._values = list(zip(rates, shares, strict=True))
        if len(self._losses) != len(self._values):
            self._losses = torch.zeros(len(self._values), device=self._device)
            self._table = torch.zeros(len(self._values), 2, device=self._device)
        if self._on_gpu:
            self._table.copy_(torch.tensor(self._values))
        self._step.fill_(-1)

    def next(self, optimizer: Optimizer) -> None:
        """The next step begins, with its rate in the optimiser."""
        self._step.add_(1)
        if self._on_gpu:
            torch.index_select(self._table, 0, self._step, out=self._row)
            return
        self.lr, self.share = self._values[int(self._step)]
        for group in optimizer.param_groups:
            group["lr"] = self.lr

    def record(self, loss: Tensor) -> None:
        """The present step's loss, a scalar."""
        self._losses.index_copy_(0, self._step, loss.view(1))

    @property
    def _on_gpu(self) -> bool:
        return self._device.type != "cpu"
