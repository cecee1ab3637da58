"""Numbers written as text, with a decimal point or comma and with groups of three digits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandas import Series

POINT, COMMA = ".", ","
MISSING = frozenset(
    {"", "-", "--", ".", "?", "n.a.", "n/a", "na", "nan", "nil", "none", "null", "missing", "unknown", "#n/a", "<na>"}
)
"""Spellings of a missing number, in small letters. In a column of texts some of them may be names."""
_GROUPS = " \u00a0\u2009\u202f'\u2019"
_SIGNS = str.maketrans({"\u2212": "-"})
_FIRST = 20


def _pattern(decimal: str, group: str) -> re.Pattern[str]:
    whole = rf"(?:[1-9]\d{{0,2}}([{group}{_GROUPS}])\d{{3}}(?:\1\d{{3}})*|\d+)"
    sign = re.escape(decimal)
    return re.compile(rf"[+\-\u2212]?(?:{whole}(?:{sign}\d*)?|{sign}\d+)(?:[eE][+\-\u2212]?\d+)?")


_PATTERNS = {POINT: _pattern(POINT, COMMA), COMMA: _pattern(COMMA, re.escape(POINT))}


def is_missing(text: str) -> bool:
    """True for a spelling of a missing number."""
    return text.strip().casefold() in MISSING


def is_number(text: str) -> bool:
    """True for a number with either decimal sign."""
    return any(pattern.fullmatch(text) for pattern in _PATTERNS.values())


def decimals(texts: Sequence[str]) -> str:
    """The decimal signs, of "." and ",", by which all texts are numbers or missing; "" for a column of other texts."""
    return "".join(sign for sign, pattern in _PATTERNS.items() if _all_match(pattern, texts))


def _all_match(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    known = (text for text in texts if not is_missing(text))
    first = list(islice(known, _FIRST))  # most texts are no numbers, which these tell
    return bool(first) and all(pattern.fullmatch(text) for text in chain(first, known))


def is_ambiguous(texts: Sequence[str]) -> bool:
    """True for numbers of other values by the other decimal sign, such as 1,234."""
    return any(POINT in text or COMMA in text for text in texts if not is_missing(text))


def to_numbers(column: Series, decimal: str) -> Series:
    """The column of texts as numbers, whole ones as integers; missing ones as NaN."""
    import pandas as pd

    written = {text: _plain(text, decimal) for text in column.dropna().unique()}
    return pd.to_numeric(column.map(written, na_action="ignore").astype(object))


def _plain(text: str, decimal: str) -> str | float:
    """As Python writes numbers."""
    if is_missing(text):
        return np.nan
    for group in (COMMA if decimal == POINT else POINT, *_GROUPS):
        text = text.replace(group, "")
    return text.translate(_SIGNS).replace(decimal, ".")
