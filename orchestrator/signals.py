"""How a run is brought to a stop from outside its own course. What the journal holds by then is all of it."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any, Self

from trainables.patience import hurry

LAST_WORDS_S = 4.0
"""Seconds that a store has left when the run is to end; what is not written by then is made again by `resume`."""


class Interrupted(KeyboardInterrupt):
    """Somebody has asked the run to stop, by the signal of that name. It can be resumed."""


class Halt(BaseException):
    """Carries `reason` from wherever a run cannot go on up to where it is told.

    Not an Exception: Ray Tune answers those by waiting until every trial has finished its epoch.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


class StopRequest:
    """Hears Ctrl-C and SIGTERM while entered: the first asks the run to stop, the second ends the process at once."""

    def __init__(self) -> None:
        self._name = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises Halt if the run has been asked to stop. Called where the run can stop."""
        if self._name:
            raise Halt(Interrupted(self._name))

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._name:
            # A cursor that the live table has hidden would stay hidden.
            os.write(sys.stderr.fileno(), b"\x1b[?25h\n" if sys.stderr.isatty() else b"\n")
            os._exit(128 + number)
        self._name = signal.Signals(number).name
        hurry(LAST_WORDS_S)
