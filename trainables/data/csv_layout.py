"""Layout of a CSV file: its encoding, its separator, the names in its header and where its rows begin."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trainables.data.dialect import Dialect

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 2**20
_SAMPLED_ROWS = 200
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""The longer ones first: that of UTF-16 is the beginning of that of UTF-32."""


@dataclass(frozen=True)
class Layout:
    """Names of the columns and the lines below them.

    rows: in UTF-8, without comments. line: the number of the first one in the file, from 1.
    """

    separator: str
    names: tuple[str, ...]
    rows: bytes
    line: int

    def check(self) -> None:
        """Raise ValueError for a row with more or fewer values than there are names."""
        for line, values in _records(self.rows.decode(), self.separator):
            extra = values[len(self.names) :]
            if len(values) < len(self.names) or any(value.strip() for value in extra):
                rule = f"each row must have {len(self.names)} values, as the first line has names"
                sign = {"\t": "a tab"}.get(self.separator, repr(self.separator))
                raise ValueError(
                    f"{rule}, but line {self.line + line - 1} has {len(values)} parted by {sign}; data.separator and "
                    "data.decimal name other signs than were found"
                )


def read_layout(file: Path, dialect: Dialect) -> Layout:
    """Raises ValueError for text in another encoding, or without a header."""
    content = _in_utf8(_content(file), dialect.encoding)
    lines = list(io.StringIO(_sample(content)))  # splitlines() would part them at more than line feeds
    at, given = _skip_comments(lines)
    default = "\t" if ".tsv" in file.name.lower() else ","
    separator = dialect.separator or given or _find_separator("".join(lines[at:]), default)
    consumed, names = _header(lines, at, separator)
    start = sum(len(line.encode()) for line in lines[:consumed])
    rows = _without_comments(content[start:], separator, len(names))
    return Layout(separator, tuple(names), rows, consumed + 1)


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix.lower() == ".gz" else content


def _in_utf8(content: bytes, encoding: str | None) -> bytes:
    """Without a byte order mark, and with line feeds between lines."""
    for mark, marked in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            content, encoding = content[len(mark) :], marked
            break
    if encoding and codecs.lookup(encoding).name != "utf-8":
        content = _decoded(content, encoding).encode()
    else:
        _decoded(content, "utf-8")
    if b"\0" in content:
        raise ValueError("it must be text, but has zero bytes: if it is in UTF-16, data.encoding must say utf-16-le")
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        other = "cp1252" if encoding == "utf-8" else "utf-8"
        raise ValueError(
            f"it must be text in {encoding}, but has the byte 0x{content[error.start]:02x} in line {line}; "
            f"data.encoding names another encoding, such as {other}"
        ) from error


def _sample(content: bytes) -> str:
    """Whole lines from the beginning."""
    end = len(content) if len(content) <= _SAMPLE else content.rfind(b"\n", 0, _SAMPLE) + 1 or len(content)
    return content[:end].decode()


def _skip_comments(lines: list[str]) -> tuple[int, str | None]:
    """The place of the header, below comments and empty lines; and the separator that Excel's first line names."""
    given = re.fullmatch(r"sep=(.)", lines[0].strip("\r\n")) if lines else None
    at = 1 if given else 0
    while at < len(lines) and (lines[at].startswith("#") or not lines[at].strip()):
        at += 1
    return at, given[1] if given else None


def _find_separator(text: str, default: str) -> str:
    """The one by which most rows have as many values as the header; of several, the one that makes more of them."""
    scores = {}
    for separator in dict.fromkeys((default, *_SEPARATORS)):
        widths = [len(values) for _, values in islice(_records(text, separator), _SAMPLED_ROWS)]
        if widths and widths[0] > 1:
            fitting = sum(width in (widths[0], widths[0] + 1) for width in widths)
            scores[separator] = (fitting / len(widths), widths[0])
    return max(scores, key=scores.__getitem__) if scores else default


def _header(lines: list[str], at: int, separator: str) -> tuple[int, list[str]]:
    """The number of lines down to the end of the header, and the names in it.

    The last comment is the header if a row with numbers in it follows, as numpy.savetxt writes it.
    """
    if at and lines[at - 1].startswith("#"):
        names = _values(lines[at - 1].removeprefix("# "), separator)
        first = _values(lines[at], separator) if at < len(lines) else []
        if len(names) == len(first) > 1 and (names[0] == "#" or any(map(_is_number, first))):
            return at, names
    reader = csv.reader(lines[at:], delimiter=separator, skipinitialspace=True)
    names = next(reader, [])
    if not names:
        raise ValueError("its first line must name its columns, but it has none")
    return at + reader.line_num, names


def _without_comments(rows: bytes, separator: str, width: int) -> bytes:
    """Lines that begin with # are none of the rows, unless they have their number of values."""
    if b"\n#" not in rows and not rows.startswith(b"#"):
        return rows
    kept, quoted = [], False
    for line in io.StringIO(rows.decode()):
        if quoted or not line.startswith("#") or len(_values(line, separator)) == width:
            kept.append(line)
            quoted ^= line.count('"') % 2 == 1
    return "".join(kept).encode()


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line in which each row ends, from 1, and its values; without empty lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        for values in reader:
            if any(values) or len(values) > 1:
                yield reader.line_num, values
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _values(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
