"""Labelled images, split once and for good: every trial of a sweep sees the same three parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig


class DataError(ValueError):
    """Data that is unknown, or cannot be split as asked."""


@dataclass(frozen=True)
class Split:
    """images: float32 (N, C, H, W) in [0, 1]. labels: int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Split:
        """The same images on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


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
        return tuple(self.train.images.shape[1:])

    @property
    def num_classes(self) -> int:
        return len(self.classes)


def load_data(config: DataConfig) -> Dataset:
    """The data of that name, split by class with the config's seed. Raises DataError."""
    if config.name not in LOADERS:
        raise DataError(f"data.name must be one of {', '.join(LOADERS)}, but got {config.name!r}")
    images, labels, classes = LOADERS[config.name]()
    train, validation, test = (Split(images[part], labels[part]) for part in _stratified(labels.numpy(), config))
    std, mean = torch.std_mean(train.images, dim=(0, 2, 3))
    return Dataset(train, validation, test, classes, mean, std)


def _stratified(labels: np.ndarray, config: DataConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the training, validation and test images, each with the whole's proportion of classes."""
    from sklearn.model_selection import train_test_split

    held_out = [round(fraction * len(labels)) for fraction in (config.validation, config.test)]
    try:
        rest, test = train_test_split(
            np.arange(len(labels)), test_size=held_out[1], stratify=labels, random_state=config.seed
        )
        train, validation = train_test_split(
            rest, test_size=held_out[0], stratify=labels[rest], random_state=config.seed
        )
    except ValueError as error:
        raise DataError(f"{config.name} cannot be split by class: {error}") from error
    return torch.from_numpy(train), torch.from_numpy(validation), torch.from_numpy(test)


def _digits() -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels (UCI, Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images / 16.0).float().unsqueeze(1)
    return images, torch.from_numpy(digits.target).long(), tuple(str(name) for name in digits.target_names)


LOADERS: dict[str, Callable[[], tuple[Tensor, Tensor, tuple[str, ...]]]] = {"digits": _digits}
