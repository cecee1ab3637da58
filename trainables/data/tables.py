"""Tables in Parquet or CSV: their rows, their features and what is to be predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.column_checks import giveaways, lost_digits, names_of_rows, row_labels
from trainables.data.column_kinds import Kind, as_text, kind_of, numbers, target_kind
from trainables.data.column_names import clean_name, is_unnamed
from trainables.data.columns import encode, fit_columns, scales
from trainables.data.dataset import Column, DataError, Dataset, Split
from trainables.data.dialect import Dialect
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
    config = table.config
    classes = table.classes()
    targets = table.labels(classes) if classes else table.values()
    given = Given(**{part: Split(torch.from_numpy(rows), targets[rows]) for part, rows in table.rows.items()})
    parts = split(given, config, classes)
    frame = table.features.iloc[parts[0].inputs.numpy()]
    columns = fit_columns(frame, table.kinds(), config)
    features = encode(table.features, columns, config.path, table.place)
    train, validation, test = (replace(part, inputs=features[part.inputs]) for part in parts)
    mean, std = scales(train.inputs, columns)
    warnings = (*_left_out(config), *table.warnings(), *_warnings(frame, train, columns, std, config))
    data = Dataset(train, validation, test, classes, mean, std, columns, warnings=warnings, dialect=table.dialect)
    return data if classes else target_mean_std(data, config)


def _warnings(
    frame: DataFrame, train: Split, columns: tuple[Column, ...], std: Tensor, config: DataConfig
) -> list[str]:
    """A line on each fault of the features to train on."""
    lines = giveaways(frame, train.targets, classes=not train.targets.is_floating_point())
    return [f"{config.path}: {line}" for line in (*lines, *lost_digits(frame, columns, train, std))]


@dataclass(frozen=True)
class _Table:
    """The rows of all files one after another, and the rows of each part.

    files: with their numbers of rows. left_out: columns without a name that number the rows.
    """

    config: DataConfig
    frame: DataFrame
    rows: dict[str, np.ndarray]
    files: dict[Path, int]
    left_out: tuple[str, ...]
    dialect: Dialect

    @classmethod
    def read(cls, config: DataConfig) -> _Table:
        import pandas as pd

        config = _with_clean_names(config)
        files = _files(required_path(config, _WANTED), config)
        frames, dialect = _frames(files, Dialect.of(config))
        left_out = tuple(name for name in row_labels(frames["train"]) if name not in _named(config))
        wanted = [str(name) for name in frames["train"] if name not in left_out]
        for part, frame in frames.items():
            for name in wanted:
                _column(frame, name, files[part], f"as {files['train'].name} has it")
        frame = pd.concat([one[wanted] for one in frames.values()], ignore_index=True)
        starts = np.cumsum([0, *(len(one) for one in frames.values())])
        rows = {part: np.arange(start, start + len(frames[part])) for part, start in zip(frames, starts, strict=False)}
        table = cls(config, frame, rows, {files[part]: len(one) for part, one in frames.items()}, left_out, dialect)
        return replace(table, rows=table.split_rows()) if config.split else table

    @property
    def called(self) -> str:
        """The target, as messages call it."""
        return f"{self.config.path}, column {self.config.target!r},"

    @cached_property
    def features(self) -> DataFrame:
        """The columns that are to be features."""
        config, dropped = self.config, {self.config.target, self.config.split}
        for key in ("drop", "categorical", "dates"):
            for name in getattr(config, key):
                if key != "drop" or not is_unnamed(name):
                    _column(self.frame, name, config.path, f"as data.{key} says")
        features = self.frame[[name for name in self.frame if name not in dropped | {*config.drop}]]
        if not len(features.columns):
            raise DataError(
                f"{config.path} must have columns beside {config.target!r}, but has none that are not dropped"
            )
        return features

    def kinds(self) -> dict[str, Kind]:
        """Of each feature."""
        return {str(name): kind_of(self.features[name], self.config, self.place) for name in self.features}

    def warnings(self) -> list[str]:
        """A line on each column that labels the rows."""
        labels = [f"column {name!r} has no name and numbers the rows, so that it is left out" for name in self.left_out]
        named = self.features.drop(columns=[name for name in self.config.dates if name in self.features])
        return [f"{self.config.path}: {line}" for line in (*labels, *names_of_rows(named, self.rows.values()))]

    @cached_property
    def target(self) -> Series:
        """The column to predict, known in every row."""
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
        """The different targets of the rows to train on, in order; none for regression."""
        target = self.target.iloc[self.rows["train"]]
        kind = target_kind(target, self.config)
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
        if target_kind(self.target, self.config) != "numeric":
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
        """The file of a row and its number there, counted from 1 without the line of names."""
        number = int(row)
        for file, count in self.files.items():
            if number < count:
                return f"row {number + 1} of {file.name}"
            number -= count
        raise IndexError(row)


def _with_clean_names(config: DataConfig) -> DataConfig:
    """The settings, with names of columns as they are read from files."""
    one = {key: name and clean_name(name) for key in ("target", "split") for name in [getattr(config, key)]}
    several = {key: tuple(map(clean_name, getattr(config, key))) for key in ("drop", "categorical", "dates")}
    return config.model_copy(update={**one, **several})


def _named(config: DataConfig) -> set[str | None]:
    """Columns that the settings name."""
    return {config.target, config.split, *config.drop, *config.categorical, *config.dates}


def _frames(files: Mapping[str, Path], dialect: Dialect) -> tuple[dict[str, DataFrame], Dialect]:
    """The table of each part, and the dialect with the decimal sign that was found first."""
    frames: dict[str, DataFrame] = {}
    for part, file in files.items():
        frames[part], own = read_frame(file, dialect)
        dialect = replace(dialect, decimal=dialect.decimal or own.decimal)
    return frames, dialect


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
