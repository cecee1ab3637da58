"""The append-only record of a run: one JSON object a line, numbered, with a checksum, written before its effect."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.errors import SweepError, Unfinished, unfinished
from orchestrator.events import Event
from orchestrator.journal_lines import HEAD, LineFiles, LineObjects, Lines, line_number
from orchestrator.signals import Halt
from search_spaces import values
from trainables.storage import Place, join, local_path


class Journal:
    """Lines in files of a folder, or in objects of a store. One process appends; any number may read meanwhile.

    A line is eight hexadecimal digits (CRC-32 of the rest), a space, the event's number from 1, a space, the JSON text.
    The record that a process wrote last may be torn: it was never acted on and is dropped. The numbers tell that apart
    from damage to any record before it, which is an error with its place. Of two processes that wrote the same numbers
    the one that began later counts.

    Attributes:
        notes: after `read`, a line for each thing that was found and left out.
    """

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self.notes: list[str] = []
        path = local_path(folder)
        self._lines: LineFiles | LineObjects = LineObjects(folder) if path is None else LineFiles(path)
        self._next: int | None = None
        self._begun = False

    def append(self, event: Event) -> None:
        """Returns once the event is on the disk or in the store: what follows from it may then happen.

        Raises:
            DiskFull, StoreFailed: it cannot be written; the journal is as it was before, or the store has the event.
            SweepError: the journal is damaged, so nothing more is written to it.
        """
        if self._next is None and not self._begun:
            self._lines.abandon()
        number, self._next = self._next or self._read_on(), None
        try:
            with failures_told(self.folder):
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
        for lines in self._lines.read():
            yield from reader.events(lines)
        if self._next is None:
            self._next = reader.next
        strangers = [f"{join(self.folder, name)} is not a file of the journal" for name in self._lines.strangers()]
        self.notes = [*reader.notes, *(f"{line} and was not read" for line in strangers)]

    def _read_on(self) -> int:
        """The number to go on with. After an append that failed or was interrupted only what was written can tell."""
        reader = _Reader()
        for lines in self._lines.read():
            for _ in reader.events(lines):
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
        self._broken: Unfinished | None = None

    def begin(self) -> None:
        """Take a place after all earlier writers: call it with the lock, before `read`. Raises a Halt."""
        with self._ending(), failures_told(self.folder):
            self._lines.begin()
            self._begun = True

    def append(self, event: Event) -> None:
        """As for any journal, but the errors that `resume` can follow come as the `reason` of a Halt.

        An event is acknowledged only if the lock is held after it was written, so that whoever takes the lock has read
        all that was acknowledged. After an error nothing more is written.
        """
        with self._ending():
            super().append(event)

    def close(self) -> None:
        """Merges nothing of a run that may be another process's."""
        try:
            self._check()
        except Unfinished:
            self._lines.abandon()
        super().close()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        if self._broken:
            raise Halt(self._broken)
        try:
            self._check()
            yield
            self._check()
        except Unfinished as reason:
            self._broken = reason
            raise Halt(reason) from None


@contextmanager
def failures_told(place: Place) -> Iterator[None]:
    """Turn an OSError of the disk or store into the end of the run that it means."""
    try:
        yield
    except OSError as error:
        raise unfinished(error, place) or error from None


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
        self.notes: list[str] = []
        self._damage = ""

    def events(self, found: Lines) -> Iterator[Event]:
        """The events of one file."""
        place, data = found.place, found.data
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
        self._note(found, lines[whole:])

    def _note(self, found: Lines, tail: list[bytes]) -> None:
        if any(b"\0" in line for line in tail) or (tail and found.data.endswith(b"\n")):
            size = sum(map(len, tail))
            self.notes.append(f"{found.place}: {size} damaged bytes after record {self.next - 1} were dropped")
        if found.superseded is not None:
            rule = "two processes were at work on the run at once; what the later one wrote counts"
            self.notes.append(f"{found.place}: records from {found.superseded} on were dropped: {rule}")

    def _error(self, what: object) -> SweepError:
        return SweepError(f"{self._damage or what}: record {self.next} should be there whole, since others follow it")


def _is_one_record(tail: list[bytes]) -> bool:
    """Whether the damaged lines at a file's end can be one record, torn or changed in one byte, and not more."""
    if len(tail) == 1:
        # A changed line end would make one line of two records.
        return not any(decode(tail[0][head.start() :]) for head in HEAD.finditer(tail[0]))
    # A byte changed into a line end makes two lines of one record.
    return not tail or (len(tail) == 2 and any(decode(b"%s%c%s" % (tail[0], byte, tail[1])) for byte in range(256)))
