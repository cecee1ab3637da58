"""Columns of values: as pandas has them, and as Parquet keeps them without loss."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from datetime import date
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.table_sums import BLANK, KEY, check_sum, with_sum
from search_spaces import from_json, hashable, to_json
from trainables.storage import Place, read_bytes

PREFIX = "config."
"""Of the names of columns that hold values."""
OFF = math.nan
"""The cell of a parameter that is switched off; no value of a space is NaN."""
_FORM = {b"halving": b"json"}
"""The metadata of a Parquet field whose cells are the JSON text of values."""


def value_column(values: Sequence[Any]) -> pd.Series[Any]:
    """A column of values, some of them OFF: in pandas' own type where all are of one that it has, else as they are."""
    kinds = {type(value) for value in values if not is_off(value)}
    missing = any(map(is_off, values))
    if not kinds or kinds == {float}:
        return pd.Series(values, dtype="float64")
    if kinds == {str}:
        return pd.Series(values)
    if kinds == {int}:
        return pd.Series(values, dtype="Int64" if missing else "int64")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if missing else "bool")
    return pd.Series(values, dtype="object")


def is_off(cell: object) -> bool:
    """Whether a cell is empty, which None is not: it is a value."""
    return cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell))


def configurations(table: pd.DataFrame) -> pd.Series[int]:
    """The number of each row's configuration, from 0 in the order of the rows; rows of the same have the same."""
    numbers: dict[Hashable, int] = {}
    cells = [list(map(_cell_key, table[name])) for name in value_columns(table)]
    rows = (tuple(column[row] for column in cells) for row in range(len(table)))
    return pd.Series([numbers.setdefault(row, len(numbers)) for row in rows], index=table.index, dtype="int64")


def value_columns(table: pd.DataFrame) -> list[str]:
    """The names of the columns that hold values."""
    return [name for name in table if isinstance(name, str) and name.startswith(PREFIX)]


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """The table as a Parquet file with a checksum, in which values that are not all of one type are JSON text."""
    mixed = [name for name in value_columns(table) if table[name].dtype == "object" and not _is_native(table[name])]
    for name in mixed:
        texts = [None if is_off(cell) else to_json(cell) for cell in table[name]]
        table = table.assign(**{name: pd.Series(texts, dtype="object", index=table.index)})
    written = pa.Table.from_pandas(table, preserve_index=False)
    fields = [field.with_metadata(_FORM) if field.name in mixed else field for field in written.schema]
    buffer = BytesIO()
    metadata = {**(written.schema.metadata or {}), KEY: BLANK}
    pq.write_table(written.cast(pa.schema(fields, metadata=metadata)), buffer)
    return with_sum(buffer.getvalue())


def read_table(path: Place) -> pd.DataFrame:
    """A table of a run in Parquet, or one of its kind, with the values as they were.

    Raises SweepError if a run's table is damaged, FileNotFoundError, OSError or pyarrow's ArrowException.
    """
    data = read_bytes(path)
    check_sum(path, data)
    table = pd.read_parquet(BytesIO(data))
    for field in pq.read_schema(BytesIO(data)):
        is_text = (field.metadata or {}).get(b"halving") == _FORM[b"halving"]
        if is_text or (field.name.startswith(PREFIX) and table[field.name].dtype == "object"):
            cells = [_value(cell, is_text) for cell in table[field.name]]
            table[field.name] = pd.Series(cells, dtype="object", index=table.index)
    return table


def _value(cell: Any, is_text: bool) -> Any:
    """The value of a cell of objects: lists are arrays there, and what is empty may be None."""
    if cell is None or is_off(cell):
        return OFF
    if isinstance(cell, np.ndarray):
        return cell.tolist()
    return from_json(cell) if is_text else cell


def _cell_key(cell: Any) -> Hashable:
    return (OFF,) if is_off(cell) else hashable(cell)


def _is_native(column: Iterable[Any]) -> bool:
    """Whether Parquet has a type of its own for all the objects."""
    kinds = {type(cell) for cell in column if not is_off(cell)}
    return kinds in ({str}, {date})
