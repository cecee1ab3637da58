"""Labelled images, split once and for good: every trial of a sweep sees the same three parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.dataset import DataError, Dataset, Split
from trainables.data.idx import read_folder

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
_FASHION = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"


def load_data(config: DataConfig) -> Dataset:
    """The data of that name, split by class with the config's seed. Raises DataError."""
    if config.name not in LOADERS:
        raise DataError(f"data.name must be one of {', '.join(LOADERS)}, but got {config.name!r}")
    source = LOADERS[config.name](config.path)
    rest, test = source.examples, source.test
    if test is None:
        rest, test = _hold_out(rest, round(config.test * len(source.examples)), config)
    train, validation = _hold_out(rest, round(config.validation * len(source.examples)), config)
    mean, std = _mean_std(train.inputs)
    return Dataset(train, validation, test, source.classes, mean, std)


def _hold_out(split: Split, count: int, config: DataConfig) -> tuple[Split, Split]:
    """The rest and `count` images, each with the whole's proportion of classes."""
    from sklearn.model_selection import train_test_split

    indices, labels = np.arange(len(split)), split.targets.numpy()
    try:
        parts = train_test_split(indices, test_size=count, stratify=labels, random_state=config.seed)
    except ValueError as error:
        raise DataError(f"{config.name} cannot be split by class: {error}") from error
    rest, held_out = (split[torch.from_numpy(part)] for part in parts)
    return rest, held_out


def _mean_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std of each channel, (C,) each; of uint8 from counts, so that no float copy of all images is made."""
    if images.dtype != torch.uint8:
        std, mean = torch.std_mean(images, dim=(0, 2, 3))
        return mean, std
    channels = images.transpose(0, 1).flatten(1)
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = counts @ values / counts.sum(1)
    squares = (counts * (values - mean[:, None]) ** 2).sum(1)
    return mean.float(), (squares / (counts.sum(1) - 1)).sqrt().float()


@dataclass(frozen=True)
class _Source:
    """What a loader finds. test: the images that were set apart for testing by whoever made the data, if any."""

    examples: Split
    classes: tuple[str, ...]
    test: Split | None = None


def _digits(path: str | None) -> _Source:
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels (UCI, Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits

    if path is not None:
        raise DataError(f"data.path must be left out for digits, which come with scikit-learn, but got {path!r}")
    digits = load_digits()
    images = torch.from_numpy(digits.images / 16.0).float().unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    return _Source(Split(images, labels), tuple(str(name) for name in digits.target_names))


def _fashion_mnist(path: str | None) -> _Source:
    """60,000 and 10,000 grey pictures of clothing, 28x28 pixels (Xiao et al. 2017, arXiv:1708.07747)."""
    if path is None and not Path(FASHION_MNIST).is_dir():
        raise DataError(
            f"{FASHION_MNIST} does not exist: install Debian's package dataset-fashion-mnist, or let data.path name "
            "the folder with the four files of Fashion-MNIST"
        )
    return _folder(Path(path or FASHION_MNIST), tuple(_FASHION.split(", ")))


def _idx(path: str | None) -> _Source:
    """A folder of four files with the names and the format of MNIST's."""
    if path is None:
        raise DataError("data.path must name the folder of the four IDX files, but got None")
    return _folder(Path(path))


def _folder(folder: Path, classes: tuple[str, ...] = ()) -> _Source:
    """Classes that have no names are called by their numbers."""
    train, test = (Split(images.unsqueeze(1), labels) for images, labels in read_folder(folder, len(classes) or None))
    return _Source(train, classes or tuple(str(number) for number in range(int(train.targets.max()) + 1)), test)


LOADERS: dict[str, Callable[[str | None], _Source]] = {"digits": _digits, "fashion_mnist": _fashion_mnist, "idx": _idx}
