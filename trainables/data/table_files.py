"""A Parquet or CSV file as a DataFrame with clean names of columns."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.data.column_names import checked_names, is_unnamed
from trainables.data.csv_columns import read_csv
from trainables.data.dataset import DataError
from trainables.data.dialect import Dialect

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq")
_PARQUET = (".parquet", ".pq")


def read_frame(file: Path, dialect: Dialect) -> tuple[DataFrame, Dialect]:
    """All rows, and the dialect with what was found of it.

    Raises DataError for what is no table, has no rows, or has columns that could be mistaken.
    """
    if not file.name.lower().endswith(SUFFIXES):
        raise DataError(f"{file} must be a Parquet or CSV file by its name ({', '.join(SUFFIXES)})")
    read = _read_parquet if file.name.lower().endswith(_PARQUET) else read_csv
    try:
        frame, found = read(file, dialect)
    except (OSError, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read as a table: {str(error).partition(chr(10))[0]}") from error
    if not len(frame):
        raise DataError(f"{file} must have rows, but has none")
    return frame.drop(
        columns=[name for name in map(str, frame) if is_unnamed(name) and frame[name].isna().all()]
    ), found


def _read_parquet(file: Path, dialect: Dialect) -> tuple[DataFrame, Dialect]:
    import pandas as pd
    from pyarrow.parquet import read_schema

    # pandas would read one of two columns of a name.
    checked_names(read_schema(file).names)
    frame = pd.read_parquet(file)
    frame.columns = checked_names([str(name) for name in frame])
    return frame, dialect
