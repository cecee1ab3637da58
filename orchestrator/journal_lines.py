"""A journal's lines in files of a folder, or in objects of a store. Both only ever grow at the end."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from trainables.storage import (
    Place,
    delete_tree,
    exists,
    join,
    list_files,
    make_folder,
    read_bytes,
    sync_folder,
    write_bytes,
)

HEAD = re.compile(rb"(?=[0-9a-f]{8} [0-9]+ )")
"""What a line begins with: its checksum and its number."""

_BLOCK = 64
"""Lines of an object store's block."""

_NAME = 10
"""Characters of a block's name."""

_READERS = 16

_FILE = re.compile(r"\d{6,}\.jsonl")
_OBJECT = re.compile(r"\d{4}-\d{5}(/\d{10})?\.jsonl")


class Lines(NamedTuple):
    """The lines of one file or object that count.

    superseded: the number of the first record that does not, since a later writer wrote it again; None if all count.
    """

    place: Place
    data: bytes
    superseded: int | None


def _ends(firsts: list[int | None]) -> list[float]:
    """The number at which the records of each file stop to count, given the first number of each, in order.

    A writer begins after the last record that it has read. What those before it wrote from there on does not count:
    they had lost the run and did not know it yet.
    """
    ends, end = [], math.inf
    for first in reversed(firsts):
        ends.append(end)
        end = min(end, math.inf if first is None else first)
    return ends[::-1]


def _until(end: float, place: Place, data: bytes) -> Lines:
    lines = data.split(b"\n")
    first = line_number(lines[0])
    if first is None or first + len(lines) - 1 <= end:
        return Lines(place, data, None)
    return Lines(place, b"".join(b"%s\n" % line for line in lines[: max(0, int(end) - first)]), int(end))


def _create_after(last: int, folder: Path) -> int:
    """Open a new file with the next free number."""
    for number in count(last + 1):
        with suppress(FileExistsError):  # of a process that begins at the same time
            return os.open(folder / f"{number:06d}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
    raise AssertionError("numbers do not end")


def _first_number(path: Path) -> int | None:
    with path.open("rb") as file:
        return line_number(file.readline().removesuffix(b"\n"))


def line_number(line: bytes) -> int | None:
    """The number of a line's record, or None if the line is damaged."""
    if not HEAD.match(line) or int(line[:8], 16) != zlib.crc32(line[9:]):
        return None
    return int(line[9:].partition(b" ")[0])


class LineFiles:
    """Each process that writes has a file of its own, so that a torn line is always a file's last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._size = 0

    def begin(self) -> None:
        """Take this writer's place after all others, before it writes."""
        if self._file is None:
            self._open()

    def append(self, number: int, line: bytes) -> None:
        """Returns once the line is on the disk. After an exception call `abandon`."""
        self.begin()
        self._write(line)

    def abandon(self) -> None:
        """Cuts off what the append that failed has written."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        except OSError:
            self.close()  # what is torn is then this file's end, and another file follows it

    def read(self) -> Iterator[Lines]:
        paths = self._numbered()
        ends = _ends([_first_number(path) for path in paths])
        for path, end in zip(paths, ends, strict=True):
            yield _until(end, path, read_bytes(path))

    def paths(self) -> list[Place]:
        return [*self._numbered()]

    def strangers(self) -> list[str]:
        """Files in the folder that are not of the journal, and are not read."""
        return sorted({path.name for path in self._folder.glob("*.jsonl")} - {path.name for path in self._numbered()})

    def _numbered(self) -> list[Path]:
        paths = (path for path in self._folder.glob("*.jsonl") if _FILE.fullmatch(path.name))
        return sorted(paths, key=lambda path: int(path.stem))

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _open(self) -> None:
        make_folder(self._folder)
        last = max((int(path.stem) for path in self._numbered()), default=0)
        self._size, self._file = 0, _create_after(last, self._folder)
        sync_folder(self._folder)

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fdatasync(self._file)
        self._size += len(line)


class LineObjects:
    """Each line is an object `0001-00001/0000000001.jsonl`; full blocks of them are merged into `0001-00001.jsonl`.

    The block is written before its parts are deleted, and parts beside their block are not read, so it can be broken
    off at any moment. The first four digits count the processes that have written.
    """

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self._writer: int | None = None
        self._block = 1
        self._lines: list[bytes] = []

    def begin(self) -> None:
        """Take this writer's place after all others, before it writes: an empty line in a block 0 keeps it."""
        self._count()
        write_bytes(join(self._folder, f"{self._writer:04d}-00000", f"{0:010d}.jsonl"), b"")

    def append(self, number: int, line: bytes) -> None:
        """Returns once the line is in the store. After an exception call `abandon`."""
        if self._writer is None:
            self._count()
        if len(self._lines) == _BLOCK:
            self._merge()
        write_bytes(join(self._folder, self._block_name(), f"{number:010d}.jsonl"), line)
        self._lines.append(line)

    def strangers(self) -> list[str]:
        """Objects in the folder that are not of the journal, and are not read."""
        return [name for name in list_files(self._folder) if not _OBJECT.fullmatch(name)]

    def _count(self) -> None:
        writers = (int(name[:4]) for name in list_files(self._folder) if _OBJECT.fullmatch(name))
        self._writer, self._block = max(writers, default=0) + 1, 1

    def abandon(self) -> None:
        """Leaves the block as it is in the store, whatever of the append that failed has come there."""
        self._writer, self._lines = None, []

    def read(self) -> Iterator[Lines]:
        found = list(self._read_all())
        ends = _ends([line_number(data.split(b"\n", 1)[0]) for _, data in found])
        for (place, data), end in zip(found, ends, strict=True):
            yield _until(end, place, data)

    def _read_all(self) -> Iterator[tuple[Place, bytes]]:
        names = self._names()
        with ThreadPoolExecutor(_READERS) as pool:
            found = dict(zip(names, pool.map(self._read, names), strict=True))
        for block in sorted({name[:_NAME] for name in names}):
            parts = [name for name in names if name[:_NAME] == block]
            if any(found[name] is None for name in parts):
                # Merged and deleted since they were listed.
                parts = [f"{block}.jsonl"]
                found[parts[0]] = read_bytes(join(self._folder, parts[0]))
            for name in parts:
                yield join(self._folder, name), found[name] or b""

    def paths(self) -> list[Place]:
        return [join(self._folder, name) for name in self._names()]

    def close(self) -> None:
        if self._lines:
            self._merge()
        self.abandon()

    def _merge(self) -> None:
        """Failing is no loss: the parts stay and are read."""
        block, lines = self._block_name(), self._lines
        self._block, self._lines = self._block + 1, []
        with suppress(OSError):
            write_bytes(join(self._folder, f"{block}.jsonl"), b"".join(lines))
            delete_tree(join(self._folder, block))

    def _block_name(self) -> str:
        return f"{self._writer:04d}-{self._block:05d}"

    def _names(self) -> list[str]:
        """Merged blocks, and the parts of the others, in order."""
        names = [name for name in list_files(self._folder) if _OBJECT.fullmatch(name)]
        merged = {name[:_NAME] for name in names if "/" not in name}
        return [name for name in names if "/" not in name or name[:_NAME] not in merged]

    def _read(self, name: str) -> bytes | None:
        place = join(self._folder, name)
        try:
            return read_bytes(place)
        except OSError:
            if exists(place):
                raise
            return None
