"""Labelled images in IDX files, the format of MNIST (LeCun, Cortes and Burges 1998) and of what followed it."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.dataset import DataError, Dataset, Split
from trainables.data.labels import find_classes
from trainables.data.settings import required_path
from trainables.data.splitting import Given, split
from trainables.data.statistics import mean_std

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
_FASHION = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
_FOUR_FILES = "the folder of the four IDX files"


def read_fashion_mnist(config: DataConfig) -> Dataset:
    """60,000 and 10,000 grey pictures of clothing, 28x28 pixels (Xiao et al. 2017, arXiv:1708.07747)."""
    if config.path is None and not Path(FASHION_MNIST).is_dir():
        raise DataError(
            f"{FASHION_MNIST} does not exist: install Debian's package dataset-fashion-mnist, or let data.path name "
            "the folder with the four files of Fashion-MNIST"
        )
    return _read(config.model_copy(update={"path": config.path or FASHION_MNIST}), tuple(_FASHION.split(", ")))


def read_idx(config: DataConfig) -> Dataset:
    """A folder of four files with the names and the format of MNIST's. Classes are called by their numbers."""
    return _read(config)


def _read(config: DataConfig, classes: tuple[str, ...] = ()) -> Dataset:
    folder = required_path(config, _FOUR_FILES)
    train, test = (Split(images.unsqueeze(1), labels) for images, labels in read_folder(folder, len(classes) or None))
    if not classes:
        classes, train, test = _numbered(folder, train, test)
    parts = split(Given(train, test=test), config, classes)
    return Dataset(*parts, classes, *mean_std(parts[0].inputs))


def _numbered(folder: Path, train: Split, test: Split) -> tuple[tuple[str, ...], Split, Split]:
    """Classes called by the numbers that occur in training, and the parts with labels without gaps."""
    train_file, test_file = (str(_find(folder, f"{part}-labels-idx1-ubyte")) for part in ("train", "t10k"))
    found = find_classes(train_file, train.targets.numpy())
    train, test = (
        Split(part.inputs, found.labels(file, part.targets.numpy()))
        for part, file in ((train, train_file), (test, test_file))
    )
    return found.names, train, test


def read_folder(folder: Path, classes: int | None = None) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The training and the test part of a folder with MNIST's four files, each with or without ".gz".

    A part is uint8 images (N, H, W) and int64 labels (N,), below `classes` if that is given. Raises DataError, which
    names the file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} must be {_FOUR_FILES}, but it is a file")
    train = _read_part(folder, "train", classes)
    test = _read_part(folder, "t10k", classes)
    if test[0].shape[1:] != train[0].shape[1:]:
        raise DataError(
            f"{_find(folder, 't10k-images-idx3-ubyte')} must hold images of {_sides(train[0])} pixels as the "
            f"training part does, but holds images of {_sides(test[0])}"
        )
    return train, test


def _read_part(folder: Path, part: str, classes: int | None) -> tuple[Tensor, Tensor]:
    images_file, labels_file = (_find(folder, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    images, labels = _read_file(images_file, dimensions=3), _read_file(labels_file, dimensions=1)
    if len(labels) != len(images):
        raise DataError(
            f"{labels_file} must hold a label for each of the {len(images)} images in {images_file.name}, "
            f"but holds {len(labels)}"
        )
    if classes and int(labels.max()) >= classes:
        raise DataError(f"{labels_file} must hold labels below {classes}, but holds {int(labels.max())}")
    return images, labels.long()


def _find(folder: Path, name: str) -> Path:
    compressed, plain = folder / f"{name}.gz", folder / name
    if compressed.is_file():
        return compressed
    if plain.is_file():
        return plain
    raise DataError(f"{compressed} is missing, and so is {name}")


def _read_file(path: Path, dimensions: int) -> Tensor:
    """The bytes of an IDX file in their shape: the magic number, big-endian sizes, the values row by row."""
    content, magic, header = _content(path), bytes((0, 0, 8, dimensions)), 4 + 4 * dimensions
    if content[:4] != magic:
        raise DataError(f"{path} must begin with the magic number {magic.hex()}, but begins with {content[:4].hex()}")
    if len(content) < header:
        raise DataError(f"{path} must hold a header of {header} bytes, but ends after {len(content)}")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) != header + prod(shape) or not prod(shape):
        raise DataError(
            f"{path} must hold as many values as its header says, {' x '.join(map(str, shape))} and more than none, "
            f"but holds {len(content) - header}"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _sides(images: Tensor) -> str:
    return " x ".join(str(side) for side in images.shape[1:])
