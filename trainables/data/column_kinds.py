"""Kinds of columns: numbers, categories, dates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import TYPE_CHECKING, Literal, SupportsIndex

import numpy as np

from trainables.config import DataConfig
from trainables.data.dataset import DataError
from trainables.data.dates import find_formats
from trainables.data.number_texts import is_missing, is_number

if TYPE_CHECKING:
    from pandas import Series

Kind = Literal["numeric", "categorical", "date"]
Place = Callable[[SupportsIndex], str]
"""Text for where a row is."""
_NUMERIC = ("boolean", "integer", "floating", "mixed-integer-float", "decimal")
_DATES = ("datetime64", "datetime", "date")
_MOST_NAMED_NUMBERS = 20
"""Different numbers in a column of texts that may be names, such as 0, 1, 2 and 3+."""
_MOST_OTHERS = 0.1
"""Share of texts among the different values of a column that was meant to hold numbers."""


def kind_of(column: Series, config: DataConfig, place: Place) -> Kind:
    """The kind of a feature. Raises DataError for what is none, and for dates that no setting names."""
    where = f"{config.path}, column {column.name!r},"
    if column.name in config.dates:
        return "date"
    kind = stored_kind(column)
    if column.name in config.categorical and (kind in ("numbers", "texts", "dates")):
        return "categorical"
    if kind == "dates" or (kind == "texts" and find_formats(different_texts(column))):
        rule = "must be named in data.dates to be taken apart into numbers, in data.categorical to be used as names"
        raise DataError(f"{where} {rule}, or in data.drop, as it holds dates such as {example(column)}")
    if kind in ("texts", "mixed"):
        _check_no_numbers(column, where, place)
    if kind not in ("numbers", "texts"):
        rule = "must hold numbers or texts, or else be named in data.drop"
        raise DataError(f"{where} {rule}, but holds {kind} such as {example(column)}")
    return "numeric" if kind == "numbers" else "categorical"


def target_kind(target: Series, config: DataConfig) -> Kind:
    """Numeric or categorical. Raises DataError for what is neither, and for dates that are not said to be classes."""
    where = f"{config.path}, column {target.name!r},"
    kind = stored_kind(target)
    dates = kind == "dates" or (kind == "texts" and find_formats(different_texts(target)))
    if dates and config.task != "classification":
        rule = "must hold numbers or classes to be predicted; data.task: classification takes each date as a class"
        raise DataError(f"{where} {rule}, but it holds dates such as {example(target)}")
    if kind not in ("numbers", "texts", "dates"):
        raise DataError(f"{where} must hold numbers or classes to be predicted, but holds {kind}")
    return "numeric" if kind == "numbers" and target.name not in config.categorical else "categorical"


def stored_kind(column: Series) -> str:
    """`numbers`, `texts` or `dates` as pandas stores them, or its name for something else."""
    from pandas.api.types import infer_dtype

    kind = infer_dtype(column, skipna=True)
    if kind in ("string", "categorical", "empty") and column.dtype.kind != "f":
        return "texts"
    if kind in _NUMERIC or column.dtype.kind in "biuf":
        return "numbers"
    return "dates" if kind in _DATES or column.dtype.kind == "M" else "mixed" if kind.startswith("mixed") else kind


def _check_no_numbers(column: Series, where: str, place: Place) -> None:
    """Raise DataError for a column of numbers with a few texts among them."""
    values = list(dict.fromkeys(filter(_is_simple, column)))
    others = {
        value for value in values if isinstance(value, str) and not (is_number(value.strip()) or is_missing(value))
    }
    if not others or len(others) > _MOST_OTHERS * len(values) or len(values) - len(others) <= _MOST_NAMED_NUMBERS:
        return
    row = next(row for row, value in enumerate(column) if _is_simple(value) and value in others)
    rule = "must hold numbers only, or be named in data.categorical to use each value as a name"
    raise DataError(f"{where} {rule}, but has {column.iloc[row]!r} in {place(row)}")


def _is_simple(value: object) -> bool:
    return isinstance(value, str | int | float | np.generic)


def different_texts(column: Series) -> list[str]:
    """The texts of a column, each once."""
    return [str(text) for text in column.dropna().unique()]


def example(column: Series) -> str:
    """The first value that is known, as a message shows it."""
    known = column.dropna()
    return repr(text_of(known.iloc[0])) if len(known) else "none"


def numbers(column: Series) -> np.ndarray:
    """(N,), float64, NaN where a value is missing."""
    return column.to_numpy(dtype="float64", na_value=np.nan)


def as_text(column: Series) -> list[str | None]:
    """Names of categories or classes, None where a value is missing; whole numbers without a fraction."""
    return [None if missing else text_of(value) for value, missing in zip(column, column.isna(), strict=True)]


def text_of(value: object) -> str:
    """A value as the name of a category."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time():
        return value.date().isoformat()
    return str(value).strip()
