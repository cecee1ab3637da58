"""Causes of a process's end: written down by the process itself, since Ray knows few, and read by others."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from trainables.failure import clean_line, is_own_file, shown_file

_SIGNALS = ("HUP", "QUIT", "TRAP", "USR1", "USR2", "ALRM", "XCPU", "VTALRM", "PROF", "IO", "PWR", "SYS", "STKFLT")
"""Those that end a process, can be caught, and are neither Ray's nor of Python's fault handler."""

_FATAL = {
    "Segmentation fault": "SEGV",
    "Bus error": "BUS",
    "Illegal instruction": "ILL",
    "Floating point exception": "FPE",
}
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.M)
_NOTE = re.compile(
    r"^(?:=== process \d+ ends (with exit code -?\d+|by signal \w+) ===|Fatal Python error: (.+))$", re.M
)


class ExitNotes:
    """Writes the exit code or the signal that ends this process to a descriptor.

    Children of the process that were forked leave no notes.
    """

    def __init__(self, descriptor: int) -> None:
        self._process, self._descriptor = os.getpid(), descriptor
        self._exit = os._exit
        os._exit = self._leave
        for name in _SIGNALS:
            number = getattr(signal, f"SIG{name}", None)
            with suppress(ValueError):  # outside of the main thread
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._end)

    def _leave(self, status: int) -> NoReturn:
        """In place of `os._exit`."""
        self._note(f"with exit code {status}")
        self._exit(status)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._note(f"by signal {signal.Signals(number).name.removeprefix('SIG')}")
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _note(self, how: str) -> None:
        if os.getpid() != self._process:
            return
        with suppress(Exception):  # the process must end whatever its streams are
            sys.stdout.flush()
            sys.stderr.flush()
        with suppress(OSError):
            os.write(self._descriptor, f"\n=== process {self._process} ends {how} ===\n".encode())


def death(told: str, log: str | None = None) -> str:
    """The cause of a process's death.

    told: the text that Ray has of it. log: the end of what the process wrote, with what ExitNotes and Python's fault
    handler add; None if it cannot be read.
    """
    how = _noted(log or "") or _told(told)
    if not how and log is not None and "End of file" in told:
        how = "by signal KILL, for want of memory or from outside, or within native code"
    if how:
        return f"the trial's process ended {how}"
    return clean_line(f"a process of the trial died: {told.partition('Some common causes')[0]}")


def _noted(log: str) -> str:
    """The last cause that the process itself has written down, and the line of the user's code where it was."""
    note = next(reversed(list(_NOTE.finditer(log))), None)
    if note is None or not note[2]:
        return note[1] if note else ""
    frames = (
        (frame[1], f"{shown_file(frame[1])}:{frame[2]} in {frame[3]}") for frame in _FRAME.finditer(log, note.end())
    )
    where = next((f" ({place})" for file, place in frames if is_own_file(file)), "")
    return f"by signal {_FATAL.get(note[2], 'ABRT')}{where}"


def _told(told: str) -> str:
    """The cause that Ray knows."""
    if "SIGTERM" in told:
        return "by signal TERM"
    if "low on memory" in told:
        return "by Ray, as its node ran low on memory"
    if "node has died" in told or "node was terminated" in told:
        return "with its node"
    code = re.search(r"Worker exits with an exit code (\w+)", told)
    return f"with exit code {code[1]}" if code else ""
