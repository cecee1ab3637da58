"""Columns of a CSV file as numbers, truth values and texts, by all values of each."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.data.column_names import checked_names
from trainables.data.csv_layout import Layout, read_layout
from trainables.data.dialect import Dialect
from trainables.data.number_texts import COMMA, POINT, decimals, is_ambiguous, to_numbers

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_TRUTH = {text: truth for truth in (False, True) for text in (str(truth), str(truth).lower(), str(truth).upper())}
_MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A")


def read_csv(file: Path, dialect: Dialect) -> tuple[DataFrame, Dialect]:
    """All rows, and the dialect with the decimal sign that was found. Raises ValueError."""
    layout = read_layout(file, dialect)
    frame = _parsed(layout)
    texts = _texts(frame)
    if dialect.decimal == COMMA or any(decimals(own) == COMMA for own in texts.values()):
        frame = _parsed(layout, dtype=str)  # else 1.234 would be a number below 2 beside 0,5
        texts = _texts(frame)
    decimal = dialect.decimal or _usual(texts.values(), frame, layout.separator)
    for name, own in texts.items():
        frame[name] = _typed(frame[name], own, decimal)
    return _without_empty_rows(frame), replace(dialect, decimal=decimal)


def _parsed(layout: Layout, **options: Any) -> DataFrame:
    """As pandas reads it, with a decimal point. Raises ValueError for rows of more or fewer values than names."""
    import pandas as pd

    options |= {"header": None, "names": range(len(layout.names)), "index_col": False, "low_memory": False}
    options |= {"sep": layout.separator, "skipinitialspace": True, "na_values": ["?"]}
    names = checked_names(layout.names)
    if not layout.rows.strip():
        return pd.DataFrame(columns=names)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame: DataFrame = pd.read_csv(io.BytesIO(layout.rows), **options)
        except (pd.errors.ParserWarning, pd.errors.ParserError):
            layout.check()
            raise
    if frame.iloc[:, -1].isna().any():  # for pandas, a row that ends early is one of missing values
        layout.check()
    frame.columns = names
    return frame


def _texts(frame: DataFrame) -> dict[str, list[str]]:
    """Different values of each column of texts, without spaces around them."""
    values = {str(name): list(frame[name].dropna().unique()) for name in frame if frame[name].dtype.kind == "O"}
    return {
        name: [value.strip() for value in own]
        for name, own in values.items()
        if all(isinstance(value, str) for value in own)
    }


def _usual(columns: Iterable[list[str]], frame: DataFrame, separator: str) -> str | None:
    """The decimal sign of the numbers that can be read in one way only; None where there is no telling."""
    signs = {sign for own in columns if len(sign := decimals(own)) == 1}
    if any(frame[name].dtype.kind == "f" and (frame[name] % 1 > 0).any() for name in frame):
        signs.add(POINT)
    if len(signs) == 1:
        return signs.pop()
    return POINT if not signs and separator == "," else None


def _typed(column: Series, texts: list[str], decimal: str | None) -> Series:
    """Numbers or truth values, if all are; else texts. Raises ValueError for numbers that can be read in two ways."""
    signs = decimals(texts)
    if len(signs) == 2:
        if decimal is None and is_ambiguous(texts):
            example = next(text for text in texts if is_ambiguous([text]))
            rule = f"data.decimal must say {POINT!r} or {COMMA!r}, as {example!r} is a number by either of them"
            raise ValueError(f"column {column.name!r}: {rule}")
        signs = decimal or POINT
    bare = _stripped(column, texts)
    if signs:
        return to_numbers(bare, signs)
    if texts and all(text in _TRUTH for text in texts):
        return bare.map(_TRUTH, na_action="ignore").infer_objects()
    return bare


def _stripped(column: Series, texts: list[str]) -> Series:
    written = dict(zip(column.dropna().unique(), texts, strict=True))
    if all(text == value and text not in _MISSING for text, value in written.items()):
        return column
    missing: dict[str, Any] = {text: np.nan if bare in _MISSING else bare for text, bare in written.items()}
    return column.map(missing, na_action="ignore")


def _without_empty_rows(frame: DataFrame) -> DataFrame:
    """Without the rows at the end that hold no value, as spreadsheets write them."""
    known = np.flatnonzero(frame.notna().any(axis=1))
    return frame.iloc[: known[-1] + 1] if len(known) else frame
