"""The append-only record of a run: one JSON object a line, numbered, with a checksum, written before its effect."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator

from orchestrator.errors import SweepError, Unfinished
from orchestrator.events import Event
from orchestrator.journal_lines import HEAD, LineFiles, LineObjects, line_number
from orchestrator.signals import Halt
from search_spaces import values
from trainables.storage import Place, local_path


class Journal:
    """Lines in files of a folder, or in objects of a store. One process appends; any number may read meanwhile.

    A line is eight hexadecimal digits (CRC-32 of the rest), a space, the event's number from 1, a space, the JSON text.
    The record that a process wrote last may be torn: it was never acted on and is dropped. The numbers tell that apart
    from damage to any record before it, which is an error with its place.
    """

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        path = local_path(folder)
        self._lines: LineFiles | LineObjects = LineObjects(folder) if path is None else LineFiles(path)
        self._next: int | None = None

    def append(self, event: Event) -> None:
        """Returns once the event is on the disk or in the store: what follows from it may then happen.

        Raises:
            DiskFull, StoreFailed: it cannot be written; the journal is as it was before, or the store has the event.
            SweepError: the journal is damaged, so nothing more is written to it.
        """
        number, self._next = self._next or self._read_on(), None
        try:
            self._lines.append(number, encode(number, event))
            self._next = number + 1
        except BaseException:
            self._next = None
            self._lines.abandon()
            raise

    def read(self) -> Iterator[Event]:
        """All events in order.

        Raises:
            SweepError: a record is damaged or missing that is not the last one.
        """
        reader = _Reader()
        for place, data in self._lines.read():
            yield from reader.events(place, data)
        if self._next is None:
            self._next = reader.next

    def _read_on(self) -> int:
        """The number to go on with. After an append that failed or was interrupted only what was written can tell."""
        self._lines.abandon()
        reader = _Reader()
        for place, data in self._lines.read():
            for _ in reader.events(place, data):
                pass
        return reader.next

    def paths(self) -> list[Place]:
        """The files or objects, in order."""
        return self._lines.paths()

    def close(self) -> None:
        self._lines.close()
        self._next = None


class SessionJournal(Journal):
    """The journal of the process at work on a run: what keeps an event out of it ends that work.

    Args:
        check: raises LockLost when the run is not that process's any more.
    """

    def __init__(self, folder: Place, check: Callable[[], None]) -> None:
        super().__init__(folder)
        self._check = check

    def append(self, event: Event) -> None:
        """As for any journal, but the errors that `resume` can follow come as the `reason` of a Halt."""
        try:
            self._check()
            super().append(event)
        except Unfinished as reason:
            raise Halt(reason) from None

    def close(self) -> None:
        """Merges nothing of a run that may be another process's."""
        try:
            self._check()
        except Unfinished:
            self._lines.abandon()
        super().close()


def encode(number: int, event: Event) -> bytes:
    """The event's line, in ASCII, with what JSON lacks as `search_spaces.encode` writes it."""
    text = b"%d %s" % (number, json.dumps(values.encode(event), separators=(",", ":")).encode())
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes) -> tuple[int, Event] | None:
    """The number and the event of a line, or None if the line is damaged."""
    number = line_number(line)
    if number is None:
        return None
    event = json.loads(line.split(b" ", 2)[2])
    return number, values.decode(event) if b'"$' in line else event


class _Reader:
    """Follows the numbers from file to file. `next` is that of the record that should come."""

    def __init__(self) -> None:
        self.next = 1
        self._damage = ""

    def events(self, place: Place, data: bytes) -> Iterator[Event]:
        """The events of one file."""
        lines = data.removesuffix(b"\n").split(b"\n") if data else []
        whole = 0
        for count, line in enumerate(lines, 1):
            record = decode(line)
            if record is None:
                self._damage = self._damage or f"{place}: line {count} is damaged"
                continue
            number, event = record
            if number != self.next or whole != count - 1:
                raise self._error(f"{place}: line {count} is record {number}")
            # A torn record before this one was known as such to whoever wrote this one in its stead.
            self._damage, whole = "", count
            self.next += 1
            yield event
        if not _is_one_record(lines[whole:]):
            raise self._error(place)

    def _error(self, what: object) -> SweepError:
        return SweepError(f"{self._damage or what}: record {self.next} should be there whole, since others follow it")


def _is_one_record(tail: list[bytes]) -> bool:
    """Whether the damaged lines at a file's end can be one record, torn or changed in one byte, and not more."""
    if len(tail) == 1:
        # A changed line end would make one line of two records.
        return not any(decode(tail[0][head.start() :]) for head in HEAD.finditer(tail[0]))
    # A byte changed into a line end makes two lines of one record.
    return not tail or (len(tail) == 2 and any(decode(b"%s%c%s" % (tail[0], byte, tail[1])) for byte in range(256)))
