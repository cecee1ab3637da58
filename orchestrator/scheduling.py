"""ASHA: Ray's own brackets and rungs, fed in an order that a journal can repeat."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from orchestrator.events import Epoch, Event
from orchestrator.exit_notes import death
from orchestrator.limits import Rules, nothing_works, reached
from orchestrator.pareto import Point, share_that_beats
from orchestrator.record import Record
from orchestrator.sections import AshaConfig
from orchestrator.signals import Halt
from orchestrator.trial_log import RunLogs
from trainables.failure import clean_line

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Ray has them in its texts wherever they go."""
_FRAME = re.compile(r'^  File ".*\n(?:    .*\n)*', re.MULTILINE)
"""Of a traceback; what follows the last one is the exception."""


class _Name(NamedTuple):
    """All that a bracket of Ray's asks of a trial."""

    trial_id: str


class Asha(AsyncHyperBandScheduler):
    """Records every result before it is acted on, then lets the trial's bracket go on or stop it.

    Rungs are keyed by the run's own trial ids, and brackets are drawn from the sweep's seed and the trial's id (Ray
    draws them from numpy's global generator), so that the same results in the same order are decided alike.

    Attributes:
        below: the trials that were below a rung's cutoff when they reached it.
    """

    def __init__(self, rules: Rules, record: Record, logs: RunLogs | None = None) -> None:
        settings = rules.asha or AshaConfig(grace_period=rules.epochs)
        super().__init__(
            time_attr="epoch",
            metric=record.metric,
            mode="max",
            max_t=rules.epochs,
            grace_period=settings.grace_period,
            reduction_factor=settings.reduction_factor,
            brackets=settings.brackets,
        )
        self._rules, self._record = rules, record
        self._met: defaultdict[int, list[Point]] = defaultdict(list)
        self.below: set[str] = set()
        self._ending: set[str] = set()
        self._logs = logs

    def replay(self, events: Iterable[Event]) -> None:
        """Fills the rungs again from a journal, and ends the trials whose end was decided but not written down."""
        for event in events:
            if event["event"] == "epoch":
                self._decide(event["trial"], Epoch.of(event))
        self.end_due()

    def end_due(self) -> None:
        """End the open trials that ASHA or a limit keeps from going on."""
        self.look_at_limits()
        for trial in list(self._record.open.values()):
            self._end_if_due(trial.id)

    def look_at_limits(self) -> None:
        """A limit that is reached stays so; a search that was given up goes on when a trial reports after all."""
        record = self._record
        if self._is_limited:
            return
        reason = reached(self._rules, record)
        if reason != record.limit:
            record.reach_limit(reason, gave_up=bool(reason) and reason == nothing_works(self._rules, record))

    def rungs(self) -> list[int]:
        """The epochs after which trials are compared, over all brackets."""
        return sorted({math.ceil(milestone) for bracket in self._brackets for milestone, _ in bracket._rungs})

    def on_trial_add(self, tune_controller: Any, trial: RayTrial) -> None:
        """Nothing to keep: a trial's bracket follows from its id."""

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """The trial's next step, CONTINUE or STOP; raises what `hear` does."""
        # Ray flattens dicts of a result but leaves lists alone.
        reports: list[dict[str, Any]] = result["report"]
        go_on = all(self.hear(trial.config["trial"], report) for report in reports)
        if reports and reports[-1].get("ends"):
            self._ending.add(trial.trial_id)
            go_on = True  # the next step ends the process
        # Ray keeps every trial's last result, and writes them all into a snapshot at the end, which nobody reads.
        reports.clear()
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def hear(self, name: str, report: dict[str, Any]) -> bool:
        """Takes in what an attempt at the trial reports, and tells whether the attempt goes on.

        report: an epoch as `Record.report` wants it, {"error", "place"} as in Failure, or {"unfinished": why the run
            cannot go on}.

        Raises:
            Halt: a worker could not read or write its checkpoint.
        """
        if "unfinished" in report:
            raise Halt(report["unfinished"])
        if "error" in report:
            self._fail(name, report["error"], report.get("place", ""))
            return False
        if note := report.get("note"):
            self._record.note(note, name)
        epoch = Epoch.of(report)
        if epoch.number > len(self._record.trials[name].epochs):
            self._record.report(name, report)
            self._decide(name, epoch)
        self._end_if_due(name)
        if epoch.finished:  # what a loop of the user's own says when it has returned, after its last epoch
            self._record.end(name, "completed")
        return name in self._record.open

    def on_trial_complete(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> None:
        """Nothing to do: the last result was heard when it came."""

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """A trial whose process died or was ended: what Ray knows of it is its error, unless it was reported."""
        if trial.trial_id in self._ending:
            self._ending.remove(trial.trial_id)
            return
        name, limit = trial.config["trial"], self._rules.faults.hang_after
        hangs = self._record.silence(name) >= limit
        for report in self._logs.unheard(name) if self._logs else []:
            self.hear(name, report)
        if name in self._record.open:
            self._fail(name, f"no report for {limit:g} s, faults.hang_after" if hangs else self._last_words(trial))

    def _last_words(self, trial: RayTrial) -> str:
        """The error of an attempt in one line, from the text that Ray has just written of it and the trial's log."""
        path = Path(trial.error_file) if trial.error_file else None
        text = _COLOURS.sub("", path.read_text(encoding="utf-8", errors="replace")) if path else ""
        *frames, error = _FRAME.split(text)
        if frames:
            return clean_line(error)
        told = " ".join(text.splitlines()[1:])
        return self._logs.end(trial.config["trial"], told) if self._logs else death(told)

    def on_trial_remove(self, tune_controller: Any, trial: RayTrial) -> None:
        """Nothing to forget."""

    def _fail(self, name: str, error: str, place: str = "") -> None:
        """Another attempt from the last checkpoint, or the end of the trial: after its retries, or at once for an error
        that another trial has met twice in a row."""
        retried = len(self._record.trials[name].faults)
        if retried < self._rules.faults.retries and (retried or place not in self._record.permanent):
            self._record.fault(name, error, place)
        else:
            self._record.end(name, "failed", error, place)
            self.look_at_limits()

    def _decide(self, name: str, epoch: Epoch) -> None:
        """Puts the result on the rung that the trial has reached, if it is a new one for it.

        Reaching a rung, a trial stops if it is below the best 1/reduction_factor of those that reached it.
        """
        if not self._rules.compares(self._record.trials[name].config):
            return
        sizes = np.array([len(bracket._rungs) for bracket in self._brackets])
        odds = np.exp(sizes - sizes.max())
        drawn = np.random.default_rng([self._rules.seed, int(name)]).choice(len(sizes), p=odds / odds.sum())
        value = self._value(epoch)
        action = self._brackets[drawn].on_result(cast("RayTrial", _Name(name)), epoch.number, value)
        if action == TrialScheduler.STOP:
            self.below.add(name)

    def _value(self, epoch: Epoch) -> float:
        """By what trials are compared, the higher the better: their metric.

        Students have two, loss and share of the cost; theirs is minus the fraction of those that reached the epoch
        before and beat them in both, so that whoever is ahead in either goes on (after Schmucker et al. 2021).
        """
        loss = self._record.sign * epoch.value(self._record.metric)
        if not self._rules.trains_students:
            return -loss
        met, point = self._met[epoch.number], (loss, epoch.cost["share"])
        value = -share_that_beats(met, point)
        met.append(point)
        return value

    def _end_if_due(self, name: str) -> None:
        self.look_at_limits()
        if self._record.trials[name].finished:
            self._record.end(name, "completed")
        elif name in self.below:
            self._record.end(name, "stopped", by="asha")
        elif self._is_limited and self._rules.compares(self._record.trials[name].config):
            self._record.end(name, "stopped", by="limit")

    @property
    def _is_limited(self) -> bool:
        """A limit is reached by which trials stop; where a search is given up, those that report go on."""
        return bool(self._record.limit) and not self._record.gave_up


def budgets(rules: Rules) -> tuple[int, ...]:
    """The epochs after which ASHA compares trials, and the last one."""
    compared = Asha(rules, Record("", 1.0)).rungs() if rules.asha else []
    return tuple(sorted({*compared, rules.epochs}))
