"""The log of a trial in its run's folder: what its processes printed and how its attempts ended, bounded in size."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.exit_notes import death
from trainables.failure import clean
from trainables.storage import Place, children, exists, join, local_path, read_bytes, write_bytes

LOGS = "logs"
FIRST, LAST = 64 * 1024, 192 * 1024
"""Bytes that are kept of a log that is longer: from its begin and from its end."""
_SLACK = FIRST + LAST
"""Bytes more than those that a log may have for a while, so that it is not cut for every line."""
_LINE = 4096
"""Bytes of a line that is left out whole where a log is cut."""
_LEFT_OUT = re.compile(rb"\n=== (\d+) bytes are left out here ===\n")
ATTEMPT = "=== attempt "
FAILED = "=== the attempt failed"
_ENDS = re.compile(rf"^(?:{FAILED}|=== process |\*\*\* SIG|Fatal Python error: )", re.M)
"""Begins of lines that tell of an attempt's end, and that end what a trial printed."""


class TrialLog:
    """A log to which several processes of a machine append at once.

    In a store it is a copy of such a file, written now and then. An error of the disk or store costs lines of the log
    and nothing else.

    Attributes:
        place: of the log.
        path: the file on this machine: the log itself, or what the copy in the store is made of.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.path = local_path(place) or _scratch(str(place))
        self._is_copied = local_path(place) is None
        self._copied_size = 0

    def begin(self, attempt: int, when: str) -> None:
        """Makes the file that holds the attempts before, and tells them from a further one. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._is_copied:
            known = attempt > 1 and exists(self.place)
            self.path.write_bytes(read_bytes(self.place) if known else b"")
            self._copied_size = self.path.stat().st_size
        if attempt > 1:
            self.append(f"{ATTEMPT}{attempt}, {when} ===\n")

    def open(self) -> int:
        """A descriptor to append through. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, text: str) -> None:
        """Adds text after a line's end."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                torn = file.read(1) not in (b"", b"\n")
                file.write(("\n" * torn + text).encode(errors="backslashreplace"))

    def bound(self, slack: int = _SLACK) -> None:
        """Leaves the middle of the log out once it is longer than FIRST, LAST and the slack."""
        with suppress(OSError), self.path.open("rb+") as file:
            if os.fstat(file.fileno()).st_size > FIRST + LAST + slack:
                with _locked(file):
                    _cut(file)

    def publish(self) -> None:
        """Copies the log to its store, if it lives in one and has changed."""
        if not self._is_copied:
            return
        with suppress(OSError):
            size = self.path.stat().st_size
            if size != self._copied_size:
                write_bytes(self.place, self.path.read_bytes())
                self._copied_size = size

    def close(self) -> None:
        """Ends an attempt: bounds the log, publishes it, and removes a file with nothing in it."""
        self.bound(0)
        self.publish()
        self.forget_reports()
        with suppress(OSError):
            if self._is_copied or not self.path.stat().st_size:
                self.path.unlink()

    def tail(self) -> str | None:
        """The end of the last attempt; None if this machine cannot read it."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LAST))
                text = file.read().decode(errors="replace")
        except OSError:
            return None
        return text[max(0, text.rfind(f"\n{ATTEMPT}")) :]

    def death(self, told: str) -> str:
        """The cause of the death of a process that had the log, from Ray's text and from what it wrote itself."""
        tail = self.tail()
        return death(told, tail) + (f"; see {LOGS}/{self.path.name}" if tail is not None else "")

    @property
    def _reports(self) -> Path:
        return self.path.with_name(f".{self.path.stem}.reports")

    def keep_report(self, report: dict[str, Any]) -> None:
        """Keeps a report that the driver has not heard yet: a process that dies cannot tell it any more."""
        with suppress(OSError), self._reports.open("a") as file:
            file.write(json.dumps(report) + "\n")

    def forget_reports(self) -> None:
        """Removes the reports that were kept."""
        with suppress(OSError):
            self._reports.unlink()

    def unheard(self) -> list[dict[str, Any]]:
        """The whole reports that were kept."""
        with suppress(OSError):
            lines = self._reports.read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]
        return []


class RunLogs:
    """The logs of a run's trials, as its driver uses them after a process has died."""

    def __init__(self, run: Place) -> None:
        self._run = run

    def unheard(self, trial: str) -> list[dict[str, Any]]:
        """What the trial's process has reported and could not tell, as far as this machine can know; once."""
        log = TrialLog(log_place(self._run, trial))
        reports = log.unheard()
        log.forget_reports()
        return reports

    def end(self, trial: str, told: str) -> str:
        """Why the trial's process died, which is added to its log.

        told: the text that Ray has of it.
        """
        log = TrialLog(log_place(self._run, trial))
        said = log.death(told)
        if log.path.exists():
            log.append(f"{FAILED}: {said} ===\n")
            log.publish()
        return said


def log_place(run: Place, trial: str, node: str = "") -> Place:
    """The log of a trial's processes, or, with `node`, of those on another machine than the first."""
    return join(run, LOGS, f"{trial}.{node}.log" if node else f"{trial}.log")


def read_log(run: Place, trial: str) -> str:
    """All that is kept of what a trial printed, its control characters escaped; empty if it printed nothing.

    Raises OSError.
    """
    names = [name for name in children(join(run, LOGS)) if name.endswith(".log") and name.split(".")[0] == trial]
    texts = {name: _text(read_bytes(join(run, LOGS, name))) for name in names}
    others = (f"=== {name} ===\n{text}" for name, text in texts.items() if name != f"{trial}.log")
    return "".join([texts.get(f"{trial}.log", ""), *others])


def last_lines(run: Place, trial: str, count: int) -> list[str]:
    """The last lines that a trial printed before its last attempt failed."""
    text = read_log(run, trial)
    printed = _ENDS.split(text[max(0, text.rfind(f"\n{ATTEMPT}")) :], maxsplit=1)[0]
    lines = [line for line in printed.splitlines() if line.strip() and not line.startswith("=== ")]
    return lines[-count:]


def _text(log: bytes) -> str:
    """A log without control characters; of a line that was written over, such as a progress bar, what stayed."""
    text = log.decode(errors="backslashreplace").replace("\r\n", "\n")
    return clean("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")))


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _cut(file: BinaryIO) -> None:
    """Cuts the middle out of a file while others append to it."""
    size, descriptor = os.fstat(file.fileno()).st_size, file.fileno()
    head = os.pread(descriptor, FIRST, 0)
    end = head.rfind(b"\n", FIRST - _LINE)
    head = head[:end] if end > 0 else head
    before = _LEFT_OUT.match(os.pread(descriptor, 100, len(head)))
    tail = os.pread(descriptor, LAST, size - LAST)
    tail = tail[tail.find(b"\n", 0, _LINE) + 1 :]
    gone = size - len(head) - len(tail)
    if before:
        gone += int(before[1]) - len(before[0])
    kept = b"\n=== %d bytes are left out here ===\n%s" % (gone, tail)
    os.pwrite(descriptor, kept, len(head))
    os.ftruncate(descriptor, len(head) + len(kept))


def _scratch(place: str) -> Path:
    """A file of this machine and user for a log in a store."""
    name = place.partition("?")[0].rpartition("/")[2]
    key = hashlib.sha256(place.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"halving-{os.getuid()}", key, name)
