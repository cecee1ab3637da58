"""A model as a user brings one: no registration, no base class of ours, no BatchNorm."""

from math import prod

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 32) -> None:
        super().__init__()
        self.hidden = nn.Linear(prod(input_shape), hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.out(self.hidden(images.flatten(1)).tanh())
        return logits


class OneTooFew(Perceptron):
    def __init__(self, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(input_shape, classes - 1)


class Two(Perceptron):
    """With a second output, as some networks have one for training."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        logits = super().forward(images)
        return logits, logits


class ForColours(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images).mean(dim=(2, 3))


class Odd(Perceptron):
    """Built of halves, of which there must be two of one size; what that breaks is no error of a value."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 32) -> None:
        assert hidden % 2 == 0, "hidden must be even"
        super().__init__(input_shape, classes, hidden)


class Frozen(Perceptron):
    """Without a parameter to train."""

    def __init__(self, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(input_shape, classes)
        self.requires_grad_(False)


class Detached(Perceptron):
    """Whose outputs have lost their way back to the parameters."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).detach()


NOT_A_MODEL = 3


class Stack(nn.Sequential):
    """Layers that can be cut into stages, without BatchNorm, so that any cut of rows and layers computes the same."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 32, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), hidden), nn.Tanh()),
            nn.Dropout(dropout),
            nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh()),
            nn.Linear(hidden, classes),
        )


class Branching(nn.Module):
    """With a part that never runs, one that runs for bright images only, a frozen one, and a mask."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden, self.unused, self.rare = nn.Linear(inputs, hidden), nn.Linear(3, 3), nn.Linear(inputs, hidden)
        self.frozen = nn.Linear(inputs, hidden).requires_grad_(False)
        self.register_buffer("mask", torch.full((hidden,), float("-inf")))

    def forward(self, rows: Tensor) -> Tensor:
        out: Tensor = self.hidden(rows) + self.frozen(rows)
        bright = (rows.mean(1) > 0.4).unsqueeze(1)
        if bright.any():
            out = out + torch.where(bright, self.rare(rows), 0.0)
        return torch.maximum(out.tanh(), self.mask)


class Partly(nn.Sequential):
    """A model to be cut before its last layer, which is all of the second stage; the first one has a Branching."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 32) -> None:
        super().__init__(nn.Flatten(), Branching(prod(input_shape), hidden), nn.Linear(hidden, classes))


class FrozenStage(nn.Sequential):
    """The first layer is not trained."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, hidden: int = 32) -> None:
        first = nn.Linear(prod(input_shape), hidden).requires_grad_(False)
        super().__init__(nn.Flatten(), first, nn.Tanh(), nn.Linear(hidden, classes))
