"""A Parquet or CSV file as a DataFrame, with the columns that its author means."""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trainables.data.dataset import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".parquet", ".pq")

Result = TypeVar("Result")


def read_frame(file: Path) -> DataFrame:
    """All rows. Raises DataError for what is no table, has no rows, or has columns that could be mistaken."""
    name = file.name.lower()
    if not name.endswith(SUFFIXES):
        raise DataError(f"{file} must be a Parquet or CSV file by its name ({', '.join(SUFFIXES)})")
    parquet = name.endswith((".parquet", ".pq"))
    _check_names(file, _tried(_parquet_names if parquet else _csv_names, file))
    frame = _tried(_parquet if parquet else _csv, file)
    if not len(frame):
        raise DataError(f"{file} must have rows, but has none")
    return frame.rename(columns=str)


def _check_names(file: Path, names: list[str]) -> None:
    """pandas would give the second of two columns another name, under which a target would be a feature."""
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{file} must have one column of each name, but has {count} of {name!r}")


def _tried(read: Callable[[Path], Result], file: Path) -> Result:
    try:
        return read(file)
    except (OSError, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read as a table: {str(error).partition(chr(10))[0]}") from error


def _parquet_names(file: Path) -> list[str]:
    from pyarrow.parquet import read_schema

    names: list[str] = read_schema(file).names
    return names


def _parquet(file: Path) -> DataFrame:
    import pandas as pd

    return pd.read_parquet(file)


def _csv_names(file: Path) -> list[str]:
    """As they are written, but for those that are left out."""
    first = _csv(file, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    return [name for name in map(str, first) if name]


def _csv(file: Path, **options: Any) -> DataFrame:
    """Raises ValueError where rows have more values than there are names, but for a comma that ends each of them."""
    import pandas as pd

    options |= {"sep": "\t" if file.name.lower().endswith(".tsv") else ",", "na_values": ["?"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame: DataFrame = pd.read_csv(file, low_memory=False, index_col=False, **options)
        except pd.errors.ParserWarning as error:
            raise ValueError("its rows have more values than its first line has names") from error
    return frame
