"""Models as users bring them, some of which break."""

import os
import signal
import time
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """No BatchNorm, so that any number of workers computes the same."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(prod(input_shape), hidden), nn.Tanh(), nn.Linear(hidden, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class Stack(nn.Sequential):
    """Layers that can be cut into stages. `marker` is of the last one, which then ends its process once."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 16, marker: str = "") -> None:
        super().__init__(nn.Flatten(), nn.Linear(prod(input_shape), hidden), nn.Tanh(), Last(hidden, classes, marker))


class Last(nn.Linear):
    def __init__(self, inputs: int, outputs: int, marker: str) -> None:
        super().__init__(inputs, outputs)
        self.marker = Path(marker or "/")
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, rows: Tensor) -> Tensor:
        self.steps += self.training
        if self.training and int(self.steps) > 100 and not self.marker.exists():
            self.marker.touch()
            os._exit(1)
        return super().forward(rows)


class Touchy(Linear):
    """Raises when it is made with 13 hidden units, turns NaN with 7, ends its process with 5."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 16) -> None:
        if hidden == 13:
            raise RuntimeError("thirteen is bad luck")
        super().__init__(input_shape, classes, hidden)
        self.hidden = hidden

    def forward(self, images: Tensor) -> Tensor:
        if self.hidden == 5 and self.training:
            os._exit(1)
        return super().forward(images) * (torch.nan if self.hidden == 7 else 1.0)


class Breaks(Linear):
    """Breaks its process once, in the third epoch: `how` is kill, raise, hang or never; `marker` tells that it did."""

    def __init__(
        self, input_shape: tuple[int, ...], classes: int, hidden: int = 16, how: str = "never", marker: str = ""
    ) -> None:
        super().__init__(input_shape, classes, hidden)
        self.how, self.marker = how, Path(marker)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        if self.how != "never" and self.training and int(self.steps) > 40 and not self.marker.exists():
            self.marker.touch()
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "raise":
                raise RuntimeError("the third epoch is\nbad luck")
            time.sleep(3600)
        return super().forward(images)
