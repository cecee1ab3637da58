"""What every trial trains on: labelled examples in three parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


class DataError(ValueError):
    """Data that is unknown, missing or damaged, or cannot be split as asked."""


@dataclass(frozen=True)
class Split:
    """inputs: images (N, C, H, W), float32 in [0, 1] or, to save memory, uint8. targets: labels, int64 (N,)."""

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


def as_floats(images: Tensor) -> Tensor:
    """Images of a split as models take them, float32 in [0, 1]; for a batch, on the device where it is wanted."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


@dataclass(frozen=True)
class Dataset:
    """The three parts, the classes' names, and the channels' mean and std (C,) over the training part."""

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def num_classes(self) -> int:
        return len(self.classes)
