"""Columns of a table as features: numbers with the median for what is missing, categories one-hot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.dataset import Column, DataError
from trainables.data.statistics import mean_std

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_CATEGORIES = 100
"""Of a column; of more, the rarest have no feature of their own."""
_NUMERIC = ("boolean", "integer", "floating", "mixed-integer-float", "decimal")


def kind_of(column: Series, config: DataConfig) -> str:
    """Numeric or categorical. Raises DataError for what is neither, such as a date."""
    from pandas.api.types import infer_dtype

    kind = infer_dtype(column, skipna=True)
    if kind in ("string", "categorical", "empty") and column.dtype.kind != "f":
        return "categorical"
    if kind in _NUMERIC or column.dtype.kind in "biuf":
        return "categorical" if column.name in config.categorical else "numeric"
    rule = "must hold numbers or texts, or else be named in data.drop"
    raise DataError(f"{config.path}, column {column.name!r}, {rule}, but holds {kind}")


def numbers(column: Series) -> np.ndarray:
    """(N,), float64, NaN where a value is missing."""
    return column.to_numpy(dtype="float64", na_value=np.nan)


def as_text(column: Series) -> list[str | None]:
    """Names of categories or classes, None where a value is missing; whole numbers without a fraction."""
    return [None if missing else _text(value) for value, missing in zip(column, column.isna(), strict=True)]


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def fit_columns(train: DataFrame, kinds: Mapping[str, str], config: DataConfig) -> tuple[Column, ...]:
    """What becomes of each column, decided on the rows to train on. Raises DataError."""
    columns = []
    for name, kind in kinds.items():
        if train[name].isna().all():
            rule = "must have a value in what is trained on, or be named in data.drop, but has none"
            raise DataError(f"{config.path}, column {name!r}, {rule}")
        if kind == "numeric":
            columns.append(Column(name, "numeric", fill=float(np.nanmedian(numbers(train[name])))))
        else:
            columns.append(Column(name, "categorical", categories=_categories(train[name], config)))
    return tuple(columns)


def _categories(column: Series, config: DataConfig) -> tuple[str | None, ...]:
    """By their names, the missing value last."""
    counts = Counter(as_text(column))
    missing = counts.pop(None, 0)
    if len(counts) > max(MOST_CATEGORIES, len(column) / 2):
        rule = "must have fewer values, as a name of each row tells nothing of others: name it in data.drop"
        raise DataError(f"{config.path}, column {column.name!r}, {rule}; it has {len(counts)} in {len(column)} rows")
    often = sorted(counts, key=lambda name: (-counts[name], str(name)))[:MOST_CATEGORIES]
    return (*sorted(map(str, often)), *([None] if missing else []))


def encode(frame: DataFrame, columns: tuple[Column, ...], config: DataConfig) -> Tensor:
    """The features (N, F), float32, of all rows. Raises DataError for a value that is not finite."""
    features = np.zeros((len(frame), sum(column.width for column in columns)), np.float32)
    at = 0
    for column in columns:
        own = features[:, at : at + column.width]
        if column.kind == "numeric":
            own[:, 0] = _filled(frame[column.name], column, config)
        else:
            place = {category: number for number, category in enumerate(column.categories)}
            places = np.array([place.get(text, -1) for text in as_text(frame[column.name])])
            own[np.flatnonzero(places >= 0), places[places >= 0]] = 1
        at += column.width
    return torch.from_numpy(features)


def _filled(values: Series, column: Column, config: DataConfig) -> np.ndarray:
    with np.errstate(over="ignore"):
        filled = np.where(values.isna(), column.fill or 0.0, numbers(values)).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(filled))
    if len(wrong):
        got = f"holds {values.iloc[wrong[0]]} in row {wrong[0] + 1}"
        raise DataError(
            f"{config.path}, column {column.name!r}, must be finite in float32 where it is known, but {got}"
        )
    return filled


def scales(train: Tensor, columns: tuple[Column, ...]) -> tuple[Tensor, Tensor]:
    """Mean and std (F,) of the numeric features (N, F); 0 and 1 for those of categories, which are on one scale."""
    mean, std = mean_std(train)
    numeric = torch.tensor([column.kind == "numeric" for column in columns for _ in range(column.width)])
    return mean.where(numeric, 0.0), std.where(numeric, 1.0)
