"""Checksum of a Parquet file, kept in its metadata: over every byte but its own."""

from __future__ import annotations

import hashlib
import re

from orchestrator.errors import SweepError
from trainables.storage import Place

KEY = b"halving.sha256"
BLANK = b"0" * 64
"""The value under KEY when a file is written and when its checksum is computed."""
_SUM = re.compile(re.escape(KEY) + rb".{1,4}?([0-9a-f]{64})", re.DOTALL)


def with_sum(data: bytes) -> bytes:
    """The file with its checksum in place of BLANK."""
    start, end = _span(data)
    return data[:start] + _digest(data, start, end) + data[end:]


def is_whole(data: bytes) -> bool:
    """Whether the file is what was written; also true of files without a checksum, as other programs write them."""
    try:
        start, end = _span(data)
    except LookupError:
        return True
    return data[start:end] == _digest(data, start, end)


def check_sum(path: Place, data: bytes) -> None:
    """Raises SweepError if the file at `path` is not what was written."""
    if not is_whole(data):
        rule = "must be the table that was written, but its checksum differs"
        raise SweepError(f"{path}: {rule}; halving resume RUN makes the tables of a run again from its journal")


def _span(data: bytes) -> tuple[int, int]:
    """Where the checksum is: the last one, since Parquet's metadata follow the data. Raises LookupError."""
    found = list(_SUM.finditer(data))
    if not found:
        raise LookupError(KEY)
    return found[-1].span(1)


def _digest(data: bytes, start: int, end: int) -> bytes:
    return hashlib.sha256(data[:start] + BLANK + data[end:]).hexdigest().encode()
