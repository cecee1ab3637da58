"""Columns that are probably no features: numbers of rows, copies of the labels, numbers that lose their digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import lgamma, log
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from trainables.data.column_kinds import as_text, numbers, stored_kind
from trainables.data.column_names import is_unnamed
from trainables.data.columns import less
from trainables.data.dataset import Column, Split
from trainables.data.dates import are_compact

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_FEWEST_ROWS = 10
"""Rows of which consecutive numbers are taken for their count."""
_SPARSEST = 100
"""Rows of the table that a sample with its row numbers was drawn from, for each row of it."""
_CHANCE = 1e-6
"""Greatest probability, of a column without meaning, to order the labels."""
_LARGEST_EXACT = 2**53
_FIRST = 1000
_SAMPLED = 100_000
_MOST_NAMED = 20
_ADVICE = "tells nothing of new ones: name it in data.drop"
_NUMBERED = re.compile(r"(.*?)(\d{1,15})(\D*)", re.DOTALL)


def row_labels(frame: DataFrame) -> list[str]:
    """Columns without a name that hold the numbers or names of rows, as tables are often written."""
    first = next(iter(frame), None)
    return [name for name in map(str, frame) if is_unnamed(name) and _labels_rows(frame[name], first=name == first)]


def _labels_rows(column: Series, first: bool) -> bool:
    """True for a count of the rows, and in the first column for one of which a sample was drawn."""
    values = _whole(column)
    if values is None or len(values) < 2:
        return False
    return _are_consecutive(values) or _begin_again(values) or (first and _are_sampled(values))


def _are_consecutive(values: np.ndarray) -> bool:
    """True for each of the whole numbers from one to another, in any order."""
    return bool(values.max() - values.min() == len(values) - 1) and _differ(values)


def _begin_again(values: np.ndarray) -> bool:
    """True for a count of the rows of a few tables, one after another."""
    again = values[1:] == values[0]
    return bool(_FEWEST_ROWS * again.sum() <= len(values) and ((np.diff(values) == 1) | again).all())


def _are_sampled(values: np.ndarray) -> bool:
    """True for the numbers of rows drawn from a table."""
    return bool(values.min() >= 0 and values.max() < _SPARSEST * len(values)) and _differ(values)


def _differ(values: np.ndarray) -> bool:
    return len(np.unique(values)) == len(values)


def _whole(column: Series) -> np.ndarray | None:
    """Whole numbers (N,), int64; None for a column of something else."""
    if stored_kind(column) != "numbers" or column.isna().any() or column.dtype.kind == "b":
        return None
    if column.dtype.kind == "i":
        return column.to_numpy(np.int64)
    values = numbers(column)
    return values.astype(np.int64) if (np.abs(values) < _LARGEST_EXACT).all() and not (values % 1).any() else None


def names_of_rows(frame: DataFrame, parts: Iterable[np.ndarray]) -> list[str]:
    """A line for each column that counts the rows, of the whole or of each part, or has another text in each."""
    rows, lines = [part for part in parts if len(part)], []
    for name in map(str, frame) if len(frame) >= _FEWEST_ROWS else ():
        if _counts_parts(frame[name], rows):
            lines.append(f"column {name!r} counts the rows, which {_ADVICE}")
        elif stored_kind(frame[name]) == "texts" and frame[name].is_unique:
            lines.append(f"column {name!r} has another text in each row, which {_ADVICE}")
    return lines


def _counts_parts(column: Series, parts: Sequence[np.ndarray]) -> bool:
    values = _numbered(column) if stored_kind(column) == "texts" else _whole(column)
    if values is None:
        return False
    return _are_consecutive(values) or all(len(part) > 1 and _are_consecutive(values[part]) for part in parts)


def _numbered(column: Series) -> np.ndarray | None:
    """The numbers in texts such as row_1 and row_2; None for other texts."""
    found = [_NUMBERED.fullmatch(text or "") for text in as_text(column)]
    whole = [one for one in found if one]
    if len(whole) < len(found) or len({(one[1], one[3]) for one in whole}) > 1:
        return None
    return np.array([int(one[2]) for one in whole])


def giveaways(train: DataFrame, targets: Tensor, classes: bool) -> list[str]:
    """A line on the columns by each of which alone the targets to train on are known."""
    labels = np.unique(targets.flatten().numpy(), return_inverse=True)[1]
    found = [repr(name) for name in map(str, train) if _gives_away(train[name], labels, classes)]
    if not found:
        return []
    named = ", ".join(found[:_MOST_NAMED]) + (" and others" if len(found) > _MOST_NAMED else "")
    told = "the class" if classes else "the order of the values to predict"
    which = f"column {named} alone tells" if len(found) == 1 else f"columns {named} each tell"
    return [f"{which} {told} of all rows to train on: name in data.drop what is not known beforehand"]


def _gives_away(column: Series, labels: np.ndarray, classes: bool) -> bool:
    """labels: the ranks of the targets (N,)."""
    values, ordered = _ranks(column), stored_kind(column) != "texts"
    known = np.flatnonzero(values >= 0)
    if len(known) < max(_FEWEST_ROWS, len(values) / 2):
        return False
    values, labels = values[known], labels[known]
    few = _chance(values[:_FIRST], labels[:_FIRST], classes, ordered)  # quick, as hardly a column does
    return few < 0 and _chance(values, labels, classes, ordered) < log(_CHANCE)


def _chance(values: np.ndarray, labels: np.ndarray, classes: bool, ordered: bool) -> float:
    """The logarithm of the probability that a random column tells the labels as this one does; 0 if it does not."""
    groups, kinds = len(np.unique(values)), len(np.unique(labels))
    pairs = len(np.unique(values.astype(np.int64) * (labels.max() + 1) + labels))
    if pairs > groups:  # rows of one value differ in their labels
        return 0.0
    if ordered and _are_ordered(values, labels, classes):
        return (lgamma(kinds + 1) if classes else log(2)) - _arrangements(labels)
    return min(0.0, groups * log(kinds) - _arrangements(labels))


def _are_ordered(values: np.ndarray, labels: np.ndarray, classes: bool) -> bool:
    """True where the labels of rows sorted by value are blocks, each of one class, or rise or fall throughout."""
    steps = np.diff(labels[np.argsort(values, kind="stable")])
    if classes:
        return int((steps != 0).sum()) == len(np.unique(labels)) - 1
    return bool((steps >= 0).all() or (steps <= 0).all())


def _arrangements(labels: np.ndarray) -> float:
    """The logarithm of the number of orders of such labels."""
    return lgamma(len(labels) + 1) - sum(lgamma(count + 1) for count in np.bincount(labels).tolist())


def _ranks(column: Series) -> np.ndarray:
    """Ranks of the values (N,), equal ones alike; -1 for a missing one."""
    import pandas as pd

    codes: np.ndarray = pd.factorize(column, sort=stored_kind(column) != "texts")[0]
    return codes


def lost_digits(train: DataFrame, columns: Sequence[Column], features: Split, std: Tensor) -> list[str]:
    """A line for each column of numbers that are rounded to equal ones, or stand for a date."""
    lines, at = [], 0
    for column in columns:
        if column.kind == "numeric":
            lines += _numeric_lines(train[column.name], column, features.inputs[:, at].numpy(), float(std[at]))
        at += column.width
    return lines


def _numeric_lines(values: Series, column: Column, feature: np.ndarray, std: float) -> list[str]:
    called = f"column {column.name!r}"
    if _are_beyond_exact(values, column.offset):
        rule = "holds whole numbers beyond 2^53, whose last digits are lost"
        return [f"{called} {rule}: if they are names, name it in data.categorical or data.drop"]
    exact = less(values.iloc[:_SAMPLED], column.offset)
    scaled = (feature[:_SAMPLED] - feature.mean(dtype=np.float64).astype(np.float32)) / np.float32(std)
    different, left = np.unique(exact[~np.isnan(exact)]), len(np.unique(scaled))
    if left < len(different) / 2:
        lost = f"of {len(different)} different values {left} are left in float32"
        return [f"{called} loses its digits, as {lost}: scale it, take its logarithm, or mend outliers"]
    if are_compact(different + column.offset):
        return [f"{called} holds dates as whole numbers: data.dates takes them apart"]
    return []


def _are_beyond_exact(values: Series, offset: float) -> bool:
    """True for whole numbers that float64 rounds: integers, or those among which one is missing."""
    whole = values.dtype.kind in "iuO" or (values.isna().any() and not (numbers(values.dropna()) % 1).any())
    return bool(whole and (np.abs(less(values.dropna(), offset)) >= _LARGEST_EXACT).any())
