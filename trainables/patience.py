"""A time limit on every request to an object store, whose own client may wait or retry for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")

ANSWER_S = 30.0
"""Seconds that a request may take without progress."""
BYTES_S = 1e6
"""A write may take a second more for so many bytes."""
_SLICE_S = 0.2

_until: list[float] = []
_late: set[object] = set()


class NoAnswerError(OSError):
    """A request that has not come back in time; it may still be carried out later."""


class Request(Thread, Generic[Result]):
    """A request in a thread of its own, which is left behind if it takes too long."""

    def __init__(self, work: Callable[[Request[Result]], Result], limit_s: float) -> None:
        super().__init__(name="store", daemon=True)
        self._work, self._limit_s, self._done = work, limit_s, Event()
        self._since = time.monotonic()
        self._error: BaseException | None = None
        self._result: list[Result] = []

    def run(self) -> None:
        try:
            self._result.append(self._work(self))
        except BaseException as error:
            self._error = error
        finally:
            _late.discard(self)
            self._done.set()

    def progress(self) -> None:
        """Count the limit from now on."""
        self._since = time.monotonic()

    def result(self) -> Result:
        """What the work returns or raises. Raises NoAnswerError at the limit, or when `hurry` says so."""
        self.start()
        while not self._done.wait(_SLICE_S):
            waited = time.monotonic() - self._since
            if waited > self._limit_s or (_until and time.monotonic() > _until[-1]):
                _late.add(self)
                raise NoAnswerError(f"no answer for {waited:.0f} s")
        if self._error:
            raise self._error
        return self._result[0]


def limit_for(size: int) -> float:
    """Seconds that a request may take without progress that sends so many bytes."""
    return ANSWER_S + size / BYTES_S


def hurry(seconds: float) -> None:
    """From then on give requests up at once: the process is to end. The first call counts."""
    if not _until:
        _until.append(time.monotonic() + seconds)


def end_hurry() -> None:
    """Wait for requests as before."""
    _until.clear()


def leaves_requests() -> bool:
    """Whether there are requests that were given up and have not come back."""
    return bool(_late)
