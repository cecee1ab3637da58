"""Examples with targets in three parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor

from trainables.data.dialect import Dialect

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

    def rows(self, first: Tensor, count: int) -> Split:
        """So many consecutive examples, from the place `first` (1,) on, which is not looked at on a GPU."""
        if first.device.type == "cpu":
            here = slice(int(first), int(first) + count)
            return Split(self.inputs[here], self.targets[here])
        return self[first + torch.arange(count, device=first.device)]

    def to(self, device: torch.device) -> Split:
        """The same examples on `device`."""
        return Split(self.inputs.to(device), self.targets.to(device))


def as_floats(inputs: Tensor) -> Tensor:
    """Inputs of a split as models take them, float32, images in [0, 1]; for a batch, where it is wanted."""
    return inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs


@dataclass(frozen=True)
class Column:
    """A column of a table as features; rows for prediction are turned into features in the same way.

    numeric: one feature, the value less `offset`, both in double precision; `fill` stands for a missing value.
    categorical: a feature for each of `categories`, 1 where the row has it and 0 elsewhere; None among them is the
        missing value, and a category that is not among them is 0 throughout.
    date: days since 1970 in UTC less `offset`, `fill` for a missing one; then the sine and cosine of the place in the
        year, of the place in the week from Monday on and, with `times`, of the time of the day, all 0 for a missing
        one. Texts are read by `format`, as Python's strptime has it, or by ISO 8601.
    """

    name: str
    kind: Literal["numeric", "categorical", "date"]
    fill: float | None = None
    categories: tuple[str | None, ...] = ()
    offset: float = 0.0
    format: str | None = None
    times: bool = False

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """A column as `dataclasses.asdict` and JSON have kept it, also of earlier versions with fewer fields."""
        return cls(**{**saved, "categories": tuple(saved["categories"])})

    @property
    def width(self) -> int:
        """Number of features."""
        if self.kind == "date":
            return 7 if self.times else 5
        return 1 if self.kind == "numeric" else len(self.categories)


@dataclass(frozen=True)
class Dataset:
    """The three parts, and what is known of them from the training part alone.

    Attributes:
        classes: their names, in the order of the labels; empty for regression.
        mean, std: of each channel (C,) or feature (F,), of floats as models take them; no std is 0.
        columns: of a table, in the order of their features; empty for what was no table.
        target_mean, target_std: (1,) each; 0 and 1 for classification.
        warnings: texts of the DataWarnings that loading gives.
        dialect: of a table's CSV files, to read others like them.
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
    dialect: Dialect = field(default_factory=Dialect)

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
