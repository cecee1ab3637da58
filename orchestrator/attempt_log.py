"""Standard output and error of a trial's process: into the log of the trial that it works on."""

from __future__ import annotations

import faulthandler
import os
import platform
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from orchestrator.exit_notes import ExitNotes, death
from orchestrator.trial_log import FAILED, TrialLog, log_place

_LOOK_EVERY_S = 1.0
"""Seconds between looks at a log's length."""
_PUBLISH_EVERY_S = 5.0
"""Seconds between copies of a log to a store, while its attempt goes on."""


class AttemptLog:
    """The log of one trial after another, also of what native code and child processes print.

    This process's own streams have the output between trials. Of one trial there is one AttemptLog a machine that owns
    the log; those of other processes write to it as well.
    """

    def __init__(self) -> None:
        self._log: TrialLog | None = None
        self._owns = True
        self._published = time.monotonic()
        self._streams = sys.stdout, sys.stderr
        self._own = os.dup(1), os.dup(2)
        self.descriptor = os.dup(2)
        """Where notes of the process's end are to go."""
        faulthandler.enable(file=self.descriptor)
        self._notes = ExitNotes(self.descriptor)
        threading.Thread(target=self._watch, name="log", daemon=True).start()

    def begin(self, trial: str, where: Mapping[str, Any], *, owns: bool = True) -> None:
        """Leads all output into the log of a trial.

        where: {"run": the run's folder, "attempt": its number from 1, "node": that of the process that owns the log}.
        """
        self.end()
        node = platform.node()
        self._owns = owns or node != where["node"]
        log = TrialLog(log_place(where["run"], trial, "" if node == where["node"] else node))
        with suppress(OSError):
            if self._owns:
                log.begin(where["attempt"], f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC on {node}")
            self._lead(log.open())
            self._log = log

    def end(self) -> None:
        """Leads all output into the process's own streams again."""
        if self._log is None:
            return
        self._flush()
        for descriptor, own in zip((1, 2, self.descriptor), (*self._own, self._own[1]), strict=True):
            os.dup2(own, descriptor)
        if self._owns:
            self._log.close()
        self._log = None

    def failed(self, said: str, traceback: str) -> None:
        """Adds the error of an attempt, with all of its traceback."""
        if self._log:
            self._flush()
            self._log.append(f"{FAILED}: {said} ===\n{traceback}")

    def unheard(self, report: dict[str, Any]) -> None:
        """Keeps a report until `heard`."""
        if self._log:
            self._log.keep_report(report)

    def heard(self) -> None:
        """Forgets the reports that the driver has heard by now."""
        if self._log:
            self._log.forget_reports()

    def publish(self, *, last: bool) -> None:
        """Lets readers of a store see the log; `last` does it at once."""
        if self._log and self._owns and (last or time.monotonic() - self._published >= _PUBLISH_EVERY_S):
            self._flush()
            self._log.publish()
            self._published = time.monotonic()

    def death(self, told: str) -> str:
        """The cause of another process's death; see `TrialLog.death`."""
        return self._log.death(told) if self._log else death(told)

    def _lead(self, descriptor: int) -> None:
        """Leads all output to a descriptor, which is closed, whatever a trial before has done to the streams."""
        sys.stdout, sys.stderr = self._streams
        for stream in self._streams:
            with suppress(AttributeError, ValueError):  # of a notebook or a test
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        self._flush()
        for one in (1, 2, self.descriptor):
            os.dup2(descriptor, one, inheritable=one < 3)
        os.close(descriptor)

    def _flush(self) -> None:
        for stream in {sys.stdout, sys.stderr, *self._streams}:
            with suppress(Exception):  # one that a user has closed, or put in the place of another
                stream.flush()

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY_S)
            if log := self._log:
                log.bound()
