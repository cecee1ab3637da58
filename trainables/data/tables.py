"""A table in Parquet or CSV: which rows and columns there are, and what is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.columns import as_text, encode, fit_columns, kind_of, numbers, scales
from trainables.data.dataset import DataError, Dataset, Split
from trainables.data.settings import near, required_path
from trainables.data.splitting import PARTS, Given, part_of, split
from trainables.data.table_files import SUFFIXES, read_frame
from trainables.data.targets import as_values, target_mean_std

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_WANTED = "a Parquet or CSV file, or a folder with train.csv or train.parquet and others such as test.csv"
_MOST_WHOLE_CLASSES = 20
_MOST_NAMED = 20


def read_table(config: DataConfig) -> Dataset:
    """A file, in which a column may say train, validation or test; or a folder with a file for each part.

    What becomes of a column is decided on the rows to train on, see `Column`. Raises DataError.
    """
    table = _Table.read(config)
    classes = table.classes()
    targets = table.labels(classes) if classes else table.values()
    given = Given(**{part: Split(torch.from_numpy(rows), targets[rows]) for part, rows in table.rows.items()})
    parts = split(given, config, classes)
    columns = fit_columns(table.features.iloc[parts[0].inputs.numpy()], table.kinds(), config)
    features = encode(table.features, columns, config)
    train, validation, test = (replace(part, inputs=features[part.inputs]) for part in parts)
    measured = scales(train.inputs, columns)
    data = Dataset(train, validation, test, classes, *measured, columns, warnings=_left_out(config))
    return data if classes else target_mean_std(data, config)


@dataclass(frozen=True)
class _Table:
    """The rows of all files one after another, and which of them each part has. files: with their numbers of rows."""

    config: DataConfig
    frame: DataFrame
    rows: dict[str, np.ndarray]
    files: dict[Path, int]

    @classmethod
    def read(cls, config: DataConfig) -> _Table:
        import pandas as pd

        files = _files(required_path(config, _WANTED), config)
        frames = {part: read_frame(file) for part, file in files.items()}
        wanted = [str(name) for name in frames["train"]]
        for part, frame in frames.items():
            for name in wanted:
                _column(frame, name, files[part], f"as {files['train'].name} has it")
        frame = pd.concat([one[wanted] for one in frames.values()], ignore_index=True)
        starts = np.cumsum([0, *(len(one) for one in frames.values())])
        rows = {part: np.arange(start, start + len(frames[part])) for part, start in zip(frames, starts, strict=False)}
        table = cls(config, frame, rows, {files[part]: len(one) for part, one in frames.items()})
        return replace(table, rows=table.split_rows()) if config.split else table

    @property
    def called(self) -> str:
        return f"{self.config.path}, column {self.config.target!r},"

    @cached_property
    def features(self) -> DataFrame:
        """The columns that are to be features."""
        config, dropped = self.config, {self.config.target, self.config.split}
        for key in ("drop", "categorical"):
            for name in getattr(config, key):
                _column(self.frame, name, config.path, f"as data.{key} says")
        features = self.frame[[name for name in self.frame if name not in dropped | {*config.drop}]]
        if not len(features.columns):
            raise DataError(
                f"{config.path} must have columns beside {config.target!r}, but has none that are not dropped"
            )
        return features

    def kinds(self) -> dict[str, str]:
        """Numeric or categorical, of each feature."""
        return {str(name): kind_of(self.features[name], self.config) for name in self.features}

    @cached_property
    def target(self) -> Series:
        """What is to be predicted; known in every row."""
        config = self.config
        if config.target is None:
            known = ", ".join(map(str, self.frame.columns[:_MOST_NAMED]))
            raise DataError(f"data.target must name the column of {config.path} to predict, one of {known}")
        target = _column(self.frame, config.target, config.path, "as data.target says")
        unknown = np.flatnonzero(target.isna())
        if len(unknown):
            raise DataError(f"{self.called} must have a value in every row, but has none in {self.place(unknown[0])}")
        return target

    def classes(self) -> tuple[str, ...]:
        """What the rows to train on have as target, in order; none for regression."""
        target = self.target.iloc[self.rows["train"]]
        kind = kind_of(target, self.config)
        if self.config.task == "regression" or (self.config.task is None and not _are_classes(target, kind)):
            return ()
        found = tuple(dict.fromkeys(map(str, as_text(target.sort_values()))))
        if len(found) < 2:
            raise DataError(f"{self.called} must have two classes at least to train on, but has {found[0]!r} only")
        return found

    def labels(self, classes: tuple[str, ...]) -> Tensor:
        """(N,), int64."""
        label_of = {name: label for label, name in enumerate(classes)}
        texts = as_text(self.target)
        labels = np.array([label_of.get(str(text), -1) for text in texts])
        for part in self.rows.values():
            for row in part[labels[part] < 0]:
                known = ", ".join(classes[:_MOST_NAMED])
                raise DataError(
                    f"{self.called} must have a class that there are rows of to train on, {known}, but in "
                    f"{self.place(row)} has {texts[row]}"
                )
        return torch.from_numpy(labels)

    def values(self) -> Tensor:
        """(N, 1), float32."""
        if kind_of(self.target, self.config) != "numeric":
            raise DataError(f"{self.called} must hold numbers for regression, but holds {self.target.iloc[0]!r}")
        return as_values(self.called, numbers(self.target))

    def split_rows(self) -> dict[str, np.ndarray]:
        """The rows of each part as the column of `data.split` says."""
        config = self.config
        column = _column(self.frame, config.split or "", config.path, "as data.split says")
        parts = np.array([part_of(str(value)) or "" for value in column])
        for row in np.flatnonzero(parts == ""):
            said = f"{self.place(row)} has {column.iloc[row]!r}"
            raise DataError(f"{config.path}, column {config.split!r}, must say {', '.join(PARTS)}, but {said}")
        if "train" not in parts:
            raise DataError(f"{config.path}, column {config.split!r}, must say train of some rows, but says it of none")
        return {part: np.flatnonzero(parts == part) for part in PARTS if part in parts}

    def place(self, row: SupportsIndex) -> str:
        """Where a row is, counted from 1, without the line of names."""
        number = int(row)
        for file, count in self.files.items():
            if number < count:
                return f"row {number + 1} of {file.name}"
            number -= count
        raise IndexError(row)


def _files(path: Path, config: DataConfig) -> dict[str, Path]:
    """The file of each part; a single one is that of all parts."""
    if path.is_file():
        return {"train": path}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        part = part_of(file.name.split(".")[0])
        if part and file.name.lower().endswith(SUFFIXES):
            if part in found:
                raise DataError(f"{path} must hold one file for {part}, but holds {found[part].name} and {file.name}")
            found[part] = file
    if "train" not in found:
        raise DataError(f"{path} must be {_WANTED}, but has no file for train")
    if config.split and len(found) > 1:
        raise DataError(f"data.split must be left out where each part has its file, but got {config.split!r}")
    return {part: found[part] for part in PARTS if part in found}


def _left_out(config: DataConfig) -> tuple[str, ...]:
    """A warning for each table beside those of the parts, which may have been meant as one."""
    folder = Path(str(config.path))
    tables = [] if folder.is_file() else sorted(folder.iterdir())
    return tuple(
        f"{file} is left out, as its name is that of no part: {', '.join(PARTS)}"
        for file in tables
        if file.name.lower().endswith(SUFFIXES) and not part_of(file.name.split(".")[0])
    )


def _column(frame: DataFrame, name: str, where: object, why: str) -> Series:
    if name not in frame:
        known = [str(one) for one in frame]
        listed = ", ".join(known[:_MOST_NAMED])
        raise DataError(f"{where} must have a column {name!r} {why}, but has {listed}{near(name, known)}")
    return frame[name]


def _are_classes(target: Series, kind: str) -> bool:
    if kind == "categorical":
        return True
    values = np.unique(numbers(target))
    return len(values) <= _MOST_WHOLE_CLASSES and bool((values == np.floor(values)).all())
