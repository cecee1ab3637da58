"""The process of a trial: a Tune trainable that holds a worker group and keeps it warm from trial to trial."""

from __future__ import annotations

import faulthandler
import platform
import re
import time
from collections.abc import Mapping
from typing import Any

from ray import tune

from orchestrator.attempt_log import AttemptLog
from orchestrator.remote_errors import RemoteError, as_remote
from orchestrator.sweep import WorkerConfig
from orchestrator.user_code import UserCode
from orchestrator.worker_group import WorkerGroup, make_group
from search_spaces import decode

_IMPORT_PATH = re.compile(r"([A-Za-z_]\w*)(?:\.\w+)*:\w+")
REPORT_EVERY_S = 0.2
"""Short epochs are told together, so that a driver hears of a trial a few times a second at the most."""


class TorchTrial(tune.Trainable):
    """One step is one epoch or several short ones; its result is {"report": [report, ...]}, one for each.

    A step never goes past an epoch after which the trial may be stopped.

    Its config is a job: {"trial": id, "start": a `worker_group.Start` with an encoded config, "workers": a
    WorkerConfig, "hang_after": seconds, "code": a UserCode, "log": {"run": its folder, "attempt": from 1}}. Checkpoints
    are the workers' own, so Tune's are not used.

    A failed attempt is a report as well, after those of the epochs before it: {"error", "place"} as in Failure, or
    {"unfinished": why the run cannot go on}. After one of EXPECTED the process lives on for the next trial. After any
    other error nobody knows in which state a process is: the report has `ends`, and the next step ends the process. So
    does one that has nothing to report for too long, even if it is stuck in native code.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._group: WorkerGroup | None = None
        self._workers: WorkerConfig | None = None
        self._log: AttemptLog | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        start = {**new_config["start"], "config": decode(new_config["start"]["config"])}
        self._job, self._begun, self._ends = {**new_config, "start": start}, False, False
        return True

    def step(self) -> dict[str, Any]:
        if self._ends:
            raise RuntimeError("the process ends after a failed attempt")
        until = time.monotonic() + REPORT_EVERY_S
        if self._log:
            self._log.heard()
        reports = [self._watched_report()]
        while self._may_go_on(reports[-1]) and time.monotonic() < until:
            reports.append(self._watched_report())
        if self._log:
            self._log.publish(last=not self._may_go_on(reports[-1]))
        return {"report": reports}

    def cleanup(self) -> None:
        if self._group:
            self._group.close()
        if self._log:
            self._log.end()

    def _may_go_on(self, report: dict[str, Any]) -> bool:
        """Whether the trial's next epoch can follow without the driver's word."""
        if "epoch" not in report or report["finished"]:
            return False
        return report["epoch"] not in self._job["start"]["save_at"]

    def _watched_report(self) -> dict[str, Any]:
        """The next report; the process is ended if it does not come in time."""
        written_to = self._log.descriptor if self._log else 2
        faulthandler.dump_traceback_later(self._job["hang_after"], exit=True, file=written_to)
        try:
            return self._report()
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _report(self) -> dict[str, Any]:
        try:
            report = {**self._ready_group().epoch(), "node": platform.node()}
        except BaseException as error:
            return self._failed(as_remote(error, _own_packages(self._job["start"]["config"])))
        if self._log:
            self._log.unheard(report)
        return report

    def _failed(self, error: RemoteError) -> dict[str, Any]:
        """Report a failed attempt, and drop the worker group with what it holds."""
        if error.reason:
            return {"unfinished": error.reason}
        self._ends, said = not error.expected, error.failure.error
        if self._log:
            said = self._log.death(error.died) if error.died else said
            self._log.failed(said, error.failure.traceback)
        if self._group:
            self._group.close()
        self._group = None
        return {"error": said, "place": error.failure.place, "ends": self._ends}

    def _ready_group(self) -> WorkerGroup:
        """The workers, begun on this trial. They stay from trial to trial while their number and size do."""
        if self._begun and self._group:
            return self._group
        workers = WorkerConfig(**self._job["workers"])
        if self._group and workers != self._workers:
            self._group.close()
            self._group = None
        if self._group:
            self._group.leave()
        self._enter()
        self._group, self._workers = self._group or make_group(workers, self._job), workers
        self._group.begin(self._job)
        self._begun = True
        return self._group

    def _enter(self) -> None:
        """Brings this process to where the trial's is at work, its output into the trial's log."""
        if "log" in self._job:
            self._job["log"]["node"] = platform.node()
            self._log = self._log or AttemptLog()
            self._log.begin(self._job["trial"], self._job["log"])
        UserCode.of(self._job["code"]).enter()


def _own_packages(value: Any) -> set[str]:
    """The top-level packages of the functions and classes that a trial's config names."""
    if isinstance(value, Mapping):
        return {name for item in value.values() for name in _own_packages(item)}
    path = _IMPORT_PATH.fullmatch(value) if isinstance(value, str) else None
    return {path[1]} if path else set()
