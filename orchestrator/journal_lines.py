"""Where a journal's lines are: files of a folder, or objects of a store. Both only ever grow at the end."""

from __future__ import annotations

import errno
import math
import os
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import DiskFull, StoreFailed
from trainables.storage import (
    Place,
    StoreError,
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

    def append(self, number: int, line: bytes) -> None:
        """Returns once the line is on the disk. After an exception call `abandon`."""
        try:
            if self._file is None:
                self._open()
            self._write(line)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(f"{self._folder}: {error.strerror}") from None
            raise

    def abandon(self) -> None:
        """Cuts off what the append that failed has written."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        except OSError:
            self.close()  # what is torn is then this file's end, and another file follows it

    def read(self) -> Iterator[tuple[Place, bytes]]:
        for path in self.paths():
            yield path, read_bytes(path)

    def paths(self) -> list[Place]:
        return [*sorted(self._folder.glob("*.jsonl"))]

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _open(self) -> None:
        make_folder(self._folder)
        last = max((int(path.stem) for path in self._folder.glob("*.jsonl")), default=0)
        path = self._folder / f"{last + 1:06d}.jsonl"
        self._size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
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
    off at any moment. The first four digits count the processes that have written. Each begins with the number after
    the last that it has read. What those before it wrote from that number on is not read: they had lost the run, and
    did not know it yet.
    """

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self._writer: int | None = None
        self._block = 1
        self._lines: list[bytes] = []

    def append(self, number: int, line: bytes) -> None:
        """Returns once the line is in the store. After an exception call `abandon`."""
        try:
            if self._writer is None:
                writers = (int(name[:4]) for name in list_files(self._folder))
                self._writer, self._block = max(writers, default=0) + 1, 1
            if len(self._lines) == _BLOCK:
                self._merge()
            write_bytes(join(self._folder, self._block_name(), f"{number:010d}.jsonl"), line)
        except StoreError as error:
            raise StoreFailed(str(error)) from None
        self._lines.append(line)

    def abandon(self) -> None:
        """Leaves the block as it is in the store, whatever of the append that failed has come there."""
        self._writer, self._lines = None, []

    def read(self) -> Iterator[tuple[Place, bytes]]:
        kept, end = [], math.inf
        for place, data in reversed(list(self._read_all())):
            lines = data.split(b"\n")
            first = line_number(lines[0])
            if first is not None:
                whole = len(lines) - 1
                data = data if first + whole <= end else b"".join(b"%s\n" % line for line in lines[: int(end) - first])
                end = min(end, first)
            kept.append((place, data))
        yield from reversed(kept)

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
        names = [name for name in list_files(self._folder) if name.endswith(".jsonl")]
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
