"""The append-only record of a run: one JSON object a line, each with a checksum, written before its effect."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import SweepError

Event = dict[str, Any]


class Journal:
    """A folder of line files. One process appends; any number may read meanwhile.

    A line is eight hexadecimal digits (CRC-32 of the rest), a space, the JSON text. A last line that is cut or
    damaged was never acted on and is dropped; damage before it is an error with its place.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None

    def append(self, event: Event) -> None:
        """Returns once the event is on the disk: what follows from it may then happen."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._next_path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        os.write(self._file, encode(event))
        os.fdatasync(self._file)

    def read(self) -> Iterator[Event]:
        """All events in order.

        Raises:
            SweepError: a line other than a file's last is damaged.
        """
        for path in self.paths():
            yield from _read_file(path)

    def paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _next_path(self) -> Path:
        """Each writing process has a file of its own, so a torn line is always a file's last."""
        return self.folder / f"{len(self.paths()) + 1:06d}.jsonl"


def encode(event: Event) -> bytes:
    """The event's line. NaN and infinity, which JSON lacks, are written as Python does."""
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes) -> Event | None:
    """The event of a line, or None if the line is damaged."""
    checksum, _, text = line.partition(b" ")
    if not text or checksum != b"%08x" % zlib.crc32(text):
        return None
    event: Event = json.loads(text)
    return event


def _read_file(path: Path) -> Iterator[Event]:
    lines = path.read_bytes().split(b"\n")
    last = len(lines) - 2 if not lines[-1] else len(lines) - 1
    for number, line in enumerate(lines[: last + 1]):
        event = decode(line)
        if event is not None:
            yield event
        elif number < last:
            raise SweepError(f"{path}: line {number + 1} is damaged: its checksum does not fit its text")
