"""The random numbers that say what happens to each input of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

DRAWS = (
    "angle",
    "right",
    "down",
    "zoom",
    "shear",
    "flip",
    "flip_vertical",
    "crop_right",
    "crop_down",
    "brightness",
    "contrast",
    "erase",
    "erase_area",
    "erase_shape",
    "erase_right",
    "erase_down",
    "erase_grey",
    "mix_share",
    "mix_kind",
    "cut_right",
    "cut_down",
)
"""What is drawn for an input, whatever is switched on: a strength that changes leaves the other draws as they were."""


@dataclass(frozen=True)
class Rows:
    """A table of float32 numbers: `values` (n, len(names)), a row an input."""

    values: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Tensor:
        """One column, (n,)."""
        return self.values[:, self.names.index(name)]

    def rows(self, which: slice | Tensor) -> Self:
        """Those of a slice or of indices, in their order."""
        values = self.values[which] if isinstance(which, slice) else self.values.index_select(0, which)
        return type(self)(values, self.names)

    def to(self, device: torch.device) -> Self:
        return type(self)(self.values.to(device), self.names)

    def pinned(self) -> Self:
        """In memory from which a GPU copies by itself."""
        return type(self)(self.values.pin_memory(), self.names)


@dataclass(frozen=True)
class Draws(Rows):
    """Uniform numbers in [0, 1)."""

    names: tuple[str, ...] = DRAWS

    @classmethod
    def of(cls, n: int, generator: torch.Generator) -> Self:
        """For n inputs, on the CPU: the same numbers at once as for parts of them one after the other."""
        return cls(torch.rand(n, len(DRAWS), generator=generator))

    def signed(self, name: str) -> Tensor:
        """One kind of draw, (n,), from -1 to 1."""
        return self[name] * 2 - 1
