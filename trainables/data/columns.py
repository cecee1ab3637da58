"""Columns of a table as features: numbers, categories one-hot, dates taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data import dates
from trainables.data.column_kinds import Kind, Place, as_text, different_texts, example, numbers, stored_kind
from trainables.data.dataset import Column, DataError
from trainables.data.number_texts import is_missing
from trainables.data.statistics import mean_std

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_CATEGORIES = 100
"""Of a column; of more, the rarest have no feature of their own."""
_FAR_FROM_ZERO = 10_000
"""Standard deviations from 0 to the mean, beyond which float32 would lose digits of the differences."""
_LARGEST = 2**62
"""Whole numbers whose differences are 64-bit whole numbers."""
_ROUNDING = 1e-13
"""Spread of equal numbers by rounding in float64, relative to their size."""


def fit_columns(train: DataFrame, kinds: Mapping[str, Kind], config: DataConfig) -> tuple[Column, ...]:
    """The features of each column, decided on the rows to train on. Raises DataError."""
    fits = {"numeric": _fit_numbers, "categorical": _fit_categories, "date": _fit_dates}
    columns = []
    for name, kind in kinds.items():
        if train[name].isna().all():
            rule = "must have a value in what is trained on, or be named in data.drop, but has none"
            raise DataError(f"{config.path}, column {name!r}, {rule}")
        columns.append(fits[kind](train[name], config))
    return tuple(columns)


def _fit_numbers(column: Series, config: DataConfig) -> Column:
    values = numbers(column)
    fill = float(np.nanmedian(values))
    return Column(str(column.name), "numeric", fill=fill, offset=_offset(column, fill))


def _offset(column: Series, median: float) -> float:
    """A number near all others, where float32 would not tell them apart; else 0."""
    if not np.isfinite(median):
        return 0.0
    offset = float(np.floor(median))
    distances = less(column, offset)
    distances = distances[np.isfinite(distances)]
    mean, spread = offset + distances.mean(), distances.std()
    exact = column.dtype.kind in "iu"
    far = abs(mean) > _FAR_FROM_ZERO * spread > 0
    return offset if far and (exact or spread > _ROUNDING * abs(mean)) else 0.0


def less(column: Series, offset: float) -> np.ndarray:
    """Numbers less `offset` (N,), float64; whole numbers of 64 bits are subtracted before they are rounded."""
    whole = column.dtype.kind in "iu" and not column.isna().any()
    if offset and whole and max(abs(offset), -float(column.min()), float(column.max())) < _LARGEST:
        return (column.to_numpy(np.int64) - int(offset)).astype(np.float64)
    return numbers(column) - offset


def _fit_categories(column: Series, config: DataConfig) -> Column:
    return Column(str(column.name), "categorical", categories=_categories(column, config))


def _categories(column: Series, config: DataConfig) -> tuple[str | None, ...]:
    """By their names, the missing value last."""
    counts = Counter(as_text(column))
    missing = counts.pop(None, 0)
    if len(counts) > max(MOST_CATEGORIES, len(column) / 2):
        rule = "must have fewer values, as a name of each row tells nothing of others: name it in data.drop"
        raise DataError(f"{config.path}, column {column.name!r}, {rule}; it has {len(counts)} in {len(column)} rows")
    often = sorted(counts, key=lambda name: (-counts[name], str(name)))[:MOST_CATEGORIES]
    return (*sorted(map(str, often)), *([None] if missing else []))


def _fit_dates(column: Series, config: DataConfig) -> Column:
    where = f"{config.path}, column {column.name!r},"
    form = _date_format(column, where)
    days = _days(column, form, where, row_number)
    first, median = float(np.floor(np.nanmin(days))), float(np.nanmedian(days))
    times = bool((days[~np.isnan(days)] % 1 > 0).any())
    return Column(str(column.name), "date", fill=median, offset=first, format=form, times=times)


def _date_format(column: Series, where: str) -> str | None:
    """The format of all texts; None for dates that are stored as such. Raises DataError for other texts."""
    kind = stored_kind(column)
    if kind == "dates":
        return None
    if kind == "numbers" and dates.are_compact(np.unique(numbers(column.dropna()))):
        return dates.COMPACT
    texts = [text for text in different_texts(column) if kind == "texts" and not is_missing(text)]
    forms = dates.find_formats(texts)
    if not forms:
        raise DataError(f"{where} must hold dates, as data.dates says, but holds {example(column)}")
    read = {form: dates.text_days(texts, form) for form in forms}
    whole = [form for form in forms if not np.isnan(read[form]).any()]
    if not whole:
        other = texts[int(np.flatnonzero(np.isnan(read[forms[0]]))[0])]
        raise DataError(f"{where} must hold dates of one form, such as {texts[0]!r}, but also holds {other!r}")
    if any((read[form] != read[whole[0]]).any() for form in whole):
        rule = "must hold dates in which the day and the month can be told apart, such as 2024-01-31"
        raise DataError(f"{where} {rule}, but holds {texts[0]!r}")
    return whole[0]


def _days(column: Series, form: str | None, where: str, place: Place) -> np.ndarray:
    """Days since 1970 (N,), NaN for a missing date. Raises DataError for what is no date."""
    if stored_kind(column) == "dates":
        return dates.stamp_days(column)
    texts = as_text(column)
    written = list(dict.fromkeys(text for text in texts if text is not None and not is_missing(text)))
    read = dict(zip(written, dates.text_days(written, form or dates.ISO), strict=True))
    days = np.array([np.nan if text is None or is_missing(text) else read[text] for text in texts])
    wrong = [row for row, text in enumerate(texts) if np.isnan(days[row]) and text is not None and not is_missing(text)]
    if wrong:
        rule = f"must hold dates of the form {form or dates.ISO}"
        raise DataError(f"{where} {rule}, but holds {texts[wrong[0]]!r} in {place(wrong[0])}")
    return days


def row_number(row: SupportsIndex) -> str:
    """The place of a row in a single table, counted from 1."""
    return f"row {int(row) + 1}"


def encode(frame: DataFrame, columns: Sequence[Column], path: object, place: Place = row_number) -> Tensor:
    """The features (N, F), float32, of all rows. Raises DataError for a value that a column cannot hold."""
    features = np.zeros((len(frame), sum(column.width for column in columns)), np.float32)
    at = 0
    for column in columns:
        values, where = frame[column.name], f"{path}, column {column.name!r},"
        own = features[:, at : at + column.width]
        if column.kind == "numeric":
            own[:, 0] = _filled(values, column, where, place)
        elif column.kind == "date":
            days = _days(values, column.format, where, place)
            own[:] = dates.features(days, column.offset, column.fill or 0.0, column.times)
        else:
            known = {category and category.strip(): number for number, category in enumerate(column.categories)}
            places = np.array([known.get(text, -1) for text in as_text(values)], np.int64)
            own[np.flatnonzero(places >= 0), places[places >= 0]] = 1
        at += column.width
    return torch.from_numpy(features)


def _filled(values: Series, column: Column, where: str, place: Place) -> np.ndarray:
    values = _without_texts(values, where, place)
    with np.errstate(over="ignore"):
        known = less(values, column.offset)
        filled = np.where(values.isna(), (column.fill or 0.0) - column.offset, known).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(filled))
    if len(wrong):
        got = f"holds {values.iloc[wrong[0]]} in {place(wrong[0])}"
        raise DataError(f"{where} must be finite in float32 where it is known, but {got}")
    return filled


def _without_texts(values: Series, where: str, place: Place) -> Series:
    """Spellings of a missing number as NaN. Raises DataError for any other text."""
    if stored_kind(values) == "numbers":
        return values
    for row, value in enumerate(values):
        if isinstance(value, str) and not is_missing(value):
            raise DataError(f"{where} must hold numbers, but holds {value!r} in {place(row)}")
    return values.map(lambda value: np.nan if isinstance(value, str) else value).astype(object)


def scales(train: Tensor, columns: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """Mean and std (F,) of the features (N, F) of numbers and days; 0 and 1 for all others, which are on one scale."""
    mean, std = mean_std(train)
    scaled = [column.kind != "categorical" and place == 0 for column in columns for place in range(column.width)]
    return mean.where(torch.tensor(scaled), 0.0), std.where(torch.tensor(scaled), 1.0)
