"""Progress of simulated searches on stderr: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal."""


class Waiting:
    """Counts started trials of `searches` searches and estimates the time left; a context manager.

    Args:
        trials: of a search at most; a search may have fewer.
    """

    def __init__(self, searches: int, trials: int, *, quiet: bool) -> None:
        self._searches, self._trials = searches, trials
        self._done = self._started = 0
        self._begun = self._last_line = time.monotonic()
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(compact=True))
        self._bar = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
        self._lines = None if quiet or console.is_terminal else console
        self._task = self._bar.add_task(self._searches_done(), total=searches * trials)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def trial(self) -> None:
        """Count a started trial."""
        self._started += 1
        self._show()

    def search(self) -> None:
        """Count a finished search, whose remaining trials are never started."""
        self._done += 1
        self._started = 0
        self._show()

    def line(self) -> str:
        """The searches done and the estimated time left."""
        passed, share = time.monotonic() - self._begun, self._units() / (self._searches * self._trials)
        left = round(passed / share * (1 - share)) if share else 0
        return f"{self._searches_done()}, about {left // 60}:{left % 60:02d} left"

    def _searches_done(self) -> str:
        return f"simulated {self._done} of {self._searches} searches"

    def _units(self) -> int:
        return self._done * self._trials + min(self._started, self._trials)

    def _show(self) -> None:
        self._bar.update(self._task, completed=self._units(), description=self._searches_done())
        now = time.monotonic()
        if self._lines and now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            self._lines.print(self.line(), highlight=False, soft_wrap=True)
