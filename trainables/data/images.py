"""A folder of images with a sub-folder for each class."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainables.config import DataConfig
from trainables.data.dataset import DataError, Dataset, Split
from trainables.data.folders import walk
from trainables.data.pictures import SUFFIXES, Decoded, Shape, decode, looks
from trainables.data.settings import near, required_path
from trainables.data.splitting import PARTS, Given, part_of, split
from trainables.data.statistics import mean_std

_MOST_NAMED = 20


@dataclass(frozen=True)
class _Listing:
    """The files of one part, with a label each, and the folder of each class that it has."""

    files: list[Path]
    labels: list[int]
    folders: dict[str, Path]


def read_images(config: DataConfig) -> Dataset:
    """A tree of class folders, or one in each of train/, validation/ (or val/) and test/. Raises DataError."""
    root = required_path(config, "a folder with a sub-folder of images for each class")
    parts = _parts(root)
    classes = tuple(sorted(folder.name for folder in _folders(parts["train"])))
    if len(classes) < 2:
        got = f"{classes[0]} only" if classes else "none"
        raise DataError(f"{parts['train']} must hold a sub-folder for each of two classes at least, but has {got}")
    listings = {name: _list(folder, classes) for name, folder in parts.items()}
    shape, broken = _shape(listings, config)
    decoded = Decoded(broken)
    splits = {name: _decode(listing, shape, decoded) for name, listing in listings.items()}
    total = sum(len(listing.files) for listing in listings.values())
    warnings = (*_report_broken(decoded.broken, total, config), *_report_animated(decoded.animated))
    for name, listing in listings.items():
        _check_classes(listing, splits[name], classes)
    train, validation, test = split(Given(**splits), config, classes)
    return Dataset(train, validation, test, classes, *mean_std(train.inputs), warnings=warnings)


def _parts(root: Path) -> dict[str, Path]:
    """The folder of each part: those of the user's own, if one is called train and holds folders but no images."""
    if not root.is_dir():
        raise DataError(f"{root} must be a folder with a sub-folder of images for each class, but it is a file")
    folders = _folders(root)
    if not any(part_of(folder.name) == "train" and _holds_classes(folder) for folder in folders):
        return {"train": root}
    named: dict[str, Path] = {}
    for folder in folders:
        part = part_of(folder.name)
        if part is None:
            raise DataError(
                f"{folder} must be one of {', '.join(PARTS)} by its name, as it is beside a folder for train"
            )
        if part in named:
            raise DataError(f"{root} must hold one folder for {part}, but holds {named[part].name} and {folder.name}")
        named[part] = folder
    return named


def _holds_classes(folder: Path) -> bool:
    return bool(_folders(folder)) and not any(_is_image(path.name) for path in folder.iterdir())


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def _list(part: Path, classes: Sequence[str]) -> _Listing:
    listing = _Listing([], [], {})
    for folder in _folders(part):
        if folder.name not in classes:
            raise DataError(
                f"{folder} must be of a class that there are images of to train on, "
                f"{', '.join(classes[:_MOST_NAMED])}{near(folder.name, classes)}"
            )
        files = _files(folder)
        if not files:
            raise DataError(f"{folder} must hold images of its class ({', '.join(sorted(SUFFIXES))}), but holds none")
        listing.files.extend(files)
        listing.labels.extend([classes.index(folder.name)] * len(files))
        listing.folders[folder.name] = folder
    if not listing.files:
        raise DataError(f"{part} must hold a sub-folder of images for each class, but holds none")
    return listing


def _files(folder: Path) -> list[Path]:
    """All images in the folder and in those inside it, in one order on every machine."""
    return sorted(Path(inner, name) for inner, names in walk(folder) for name in names if _is_image(name))


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def _shape(listings: Mapping[str, _Listing], config: DataConfig) -> tuple[Shape, dict[Path, str]]:
    """What images become, and those of which not even the size can be read, with the reason."""
    size, channels = config.size, config.channels
    if size is not None and channels:
        return Shape(size, size, channels == "colour", config.fit, resize=True), {}
    files = [file for listing in listings.values() for file in listing.files]
    found, broken = looks(files, sizes=size is None)
    colour = channels == "colour" if channels else any(look.colour for look in found.values())
    if size is not None:
        return Shape(size, size, colour, config.fit, resize=True), broken
    width, height = _common_size({file: look.size for file, look in found.items()})
    return Shape(height, width, colour, config.fit, resize=False), broken


def _common_size(sizes: Mapping[Path, tuple[int, int]]) -> tuple[int, int]:
    if not sizes:
        return 1, 1
    first, size = next(iter(sizes.items()))
    for file, other in sizes.items():
        if other != size:
            raise DataError(
                "data.size must be the side to which images are made, since they are of different sizes: "
                f"{first} has {size[0]} x {size[1]} pixels, {file} has {other[0]} x {other[1]}"
            )
    return size


def _decode(listing: _Listing, shape: Shape, total: Decoded) -> Split:
    """The images that can be read; `total` is told of the others, and of those of several frames."""
    images = np.empty((len(listing.files), *shape.array), np.uint8)
    own = decode(listing.files, shape, images, skip=total.broken)
    total.broken |= own.broken
    total.animated += own.animated
    whole = np.array([file not in total.broken for file in listing.files])
    labels = torch.tensor(listing.labels)[torch.from_numpy(whole)]
    return Split(torch.from_numpy(images if whole.all() else images[whole]), labels)


def _report_broken(broken: Mapping[Path, str], total: int, config: DataConfig) -> tuple[str, ...]:
    """A warning that names the files left out, if any. Raises DataError with `data.strict`."""
    if not broken:
        return ()
    if config.strict:
        file, reason = next(iter(broken.items()))
        raise DataError(f"{file} cannot be read as an image ({reason}), and data.strict wants all of them")
    named = _some([f"{file} ({reason})" for file, reason in sorted(broken.items())])
    return (f"{len(broken)} of {total} images cannot be read and are left out: {named}",)


def _report_animated(animated: Sequence[Path]) -> tuple[str, ...]:
    if not animated:
        return ()
    return (f"{len(animated)} files have several frames, of which only the first is used: {_some(animated)}",)


def _some(items: Sequence[object]) -> str:
    more = [f"and {len(items) - _MOST_NAMED} more"] if len(items) > _MOST_NAMED else []
    return ", ".join([*map(str, items[:_MOST_NAMED]), *more])


def _check_classes(listing: _Listing, part: Split, classes: Sequence[str]) -> None:
    """Whether each class that has a folder has images that could be read."""
    counts = torch.bincount(part.targets, minlength=len(classes))
    for name, folder in listing.folders.items():
        if not counts[classes.index(name)]:
            raise DataError(f"{folder} must hold images of its class, but none of its files can be read as one")
