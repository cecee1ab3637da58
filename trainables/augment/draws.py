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
_COLUMN = {name: column for column, name in enumerate(DRAWS)}


@dataclass(frozen=True)
class Draws:
    """Uniform numbers in [0, 1): `values` (n, len(DRAWS)), a row an input."""

    values: Tensor

    @classmethod
    def of(cls, n: int, generator: torch.Generator) -> Self:
        """For n inputs, on the CPU."""
        return cls(torch.rand(n, len(DRAWS), generator=generator))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Tensor:
        """One kind of draw, (n,)."""
        return self.values[:, _COLUMN[name]]

    def signed(self, name: str) -> Tensor:
        """One kind of draw, (n,), from -1 to 1."""
        return self[name] * 2 - 1

    def rows(self, which: slice | Tensor) -> Self:
        return type(self)(self.values[which])

    def to(self, device: torch.device) -> Self:
        return type(self)(self.values.to(device))
