"""Training, validation and test: the parts that data come in, and those that are made once and for good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from trainables.config import DataConfig
from trainables.data.dataset import DataError, Split

PARTS = ("train", "validation", "test")
_SYNONYMS = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}


def part_of(name: str) -> str | None:
    """The part that a folder, file, array or row is of by its name; None if by its name it is of none."""
    name = name.strip().lower()
    name = _SYNONYMS.get(name, name)
    return name if name in PARTS else None


@dataclass(frozen=True)
class Given:
    """The parts as whoever made the data has set them apart; what is None is to come out of `train`."""

    train: Split
    validation: Split | None = None
    test: Split | None = None


def split(given: Given, config: DataConfig, classes: tuple[str, ...]) -> tuple[Split, Split, Split]:
    """The three parts, each with the whole's proportion of classes; drawn plainly where there are no classes.

    `config.validation` and `config.test` are fractions of `given.train`. Raises DataError.
    """
    train, validation, test, whole = given.train, given.validation, given.test, len(given.train)
    if test is None:
        train, test = _hold_out(train, "test", round(config.test * whole), config, classes)
    if validation is None:
        train, validation = _hold_out(train, "validation", round(config.validation * whole), config, classes)
    if len(train) < 2:
        raise DataError(f"{source(config)} must leave two examples at least to train on, but leaves {len(train)}")
    return train, validation, test


def source(config: DataConfig) -> str:
    """What errors call the data."""
    return config.path or config.name


def _hold_out(part: Split, name: str, count: int, config: DataConfig, classes: tuple[str, ...]) -> tuple[Split, Split]:
    """The rest and `count` examples."""
    from sklearn.model_selection import train_test_split

    _check_count(part, name, count, config, classes)
    stratify = part.targets.numpy() if classes else None
    parts = train_test_split(np.arange(len(part)), test_size=count, stratify=stratify, random_state=config.seed)
    rest, held_out = (part[torch.from_numpy(indices)] for indices in parts)
    return rest, held_out


def _check_count(part: Split, name: str, count: int, config: DataConfig, classes: tuple[str, ...]) -> None:
    """Whether each class can be on both sides."""
    where, least = source(config), len(classes) or 1
    by = "by class" if classes else "into parts"
    if not least <= count <= len(part) - least:
        each = f" for each of {least} classes" if classes else ""
        fraction = getattr(config, name)
        raise DataError(
            f"{where} cannot be split {by}: data.{name} must hold out and leave an example{each}, but {fraction} makes "
            f"that {count} of the {len(part)} examples that there are to split"
        )
    if not classes:
        return
    counts = torch.bincount(part.targets, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < 2:
        raise DataError(
            f"{where} cannot be split by class: data.{name} wants two examples of each class, one to hold out and one "
            f"to leave, but of {classes[rarest]!r} there is {int(counts[rarest])}"
        )
