"""What every trial trains on: examples with targets in three parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

Task = Literal["classification", "regression"]


class DataError(ValueError):
    """Data that is unknown, missing or damaged, or cannot be split as asked."""


class DataWarning(UserWarning):
    """Data that can be used, but not all of it or not as quickly as it might be."""


@dataclass(frozen=True)
class Split:
    """inputs: images (N, C, H, W), float32 in [0, 1] or, to save memory, uint8; or features (N, F), float32.

    targets: labels, int64 (N,); for regression values, float32 (N, 1).
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, part: Tensor) -> Split:
        """The examples of those indices."""
        return Split(self.inputs[part], self.targets[part])

    def to(self, device: torch.device) -> Split:
        """The same examples on `device`."""
        return Split(self.inputs.to(device), self.targets.to(device))


def as_floats(inputs: Tensor) -> Tensor:
    """Inputs of a split as models take them, float32, images in [0, 1]; for a batch, where it is wanted."""
    return inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs


@dataclass(frozen=True)
class Column:
    """A column of a table, and what becomes of it: whoever feeds rows to a model does the same.

    A numeric one is one feature, in which `fill` stands for a missing value. A categorical one is a feature for each of
    `categories`, 1 where the row has it and 0 elsewhere; None among them is the missing value, and a category that is
    not among them is 0 throughout.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    fill: float | None = None
    categories: tuple[str | None, ...] = ()

    @property
    def width(self) -> int:
        """How many features it makes."""
        return 1 if self.kind == "numeric" else len(self.categories)


@dataclass(frozen=True)
class Dataset:
    """The three parts, and what is known of them from the training part alone.

    Attributes:
        classes: their names, in the order of the labels; empty for regression.
        mean, std: of each channel (C,) or feature (F,), of floats as models take them; no std is 0.
        columns: of a table, in the order of their features; empty for what was no table.
        target_mean, target_std: (1,) each; 0 and 1 for classification.
        warnings: what whoever asked for the data should know of it.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor
    columns: tuple[Column, ...] = ()
    target_mean: Tensor = field(default_factory=lambda: torch.zeros(1))
    target_std: Tensor = field(default_factory=lambda: torch.ones(1))
    warnings: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        return "classification" if self.classes else "regression"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) of images, (F,) of features."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def num_classes(self) -> int:
        """0 for regression."""
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        """What a model gives for one example: a logit a class, or a value."""
        return len(self.classes) or 1
