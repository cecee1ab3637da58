"""What is known of a run, as a fold over its journal: the driver's memory and what the tables are made from."""

from __future__ import annotations

import heapq
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from orchestrator.errors import SweepError
from orchestrator.events import Epoch, Event, UnknownEvent, check_event
from orchestrator.journal import Journal
from orchestrator.repeats import average
from orchestrator.searchers import Observation
from orchestrator.searchers.base import Key, key
from orchestrator.time_spent import TimeSpent, moment
from search_spaces import Config

Status = Literal["pending", "running", "interrupted", "completed", "stopped", "failed"]


@dataclass
class Trial:
    """One configuration, with one seed, and what became of it.

    Attributes:
        id: four digits or more, in the order of proposal.
        repeat: how many trials of this configuration, with other seeds, were proposed before it.
        status: `completed` trained all its epochs or stopped by its own patience; `stopped` was ended by ASHA or by a
            limit; `interrupted` was under way when its driver ended, and continues with the next session.
        epochs: every epoch, in order.
        faults: what went wrong in attempts that were tried again.
        error: why it failed.
        loss: the best loss so far; NaN before the first epoch, or if it failed.
        finished: it has reported its last epoch.
        attempts: how often a process has begun with it.
        stopped_by: `asha` or `limit`, of a trial that was stopped.
        heard: seconds by the clock of the session when it last started or reported.
    """

    id: str
    config: Config
    proposed: float
    repeat: int = 0
    status: Status = "pending"
    epochs: list[Epoch] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    node: str = ""
    error: str = ""
    loss: float = math.nan
    finished: bool = False
    attempts: int = 0
    stopped_by: str = ""
    started: float = math.nan
    heard: float = math.nan
    ended: float = math.nan

    @property
    def is_over(self) -> bool:
        return self.status in ("completed", "stopped", "failed")

    @property
    def seconds(self) -> float:
        """Training time, summed over epochs."""
        return float(sum(epoch.seconds for epoch in self.epochs))

    def best_epoch(self, metric: str, sign: float) -> Epoch | None:
        """The epoch with the best value of the metric, the first of equals; None before the first epoch."""
        return min(self.epochs, key=lambda epoch: sign * epoch.value(metric), default=None)


class Record:
    """All trials and models of a run. Every change is an event: checked, then written to the journal, then applied.

    Args:
        metric: the sweep's metric; `sign` turns it into a loss.
        clock: seconds, for moments and durations; a simulation has its own. None is the wall clock for moments, and
            for durations one that nobody sets.

    Attributes:
        open: the trials that are not over, in the order of proposal.
        prior: what was learned from earlier runs, by their place.
        permanent: the places of errors that a trial of this session has met in two attempts in a row.
        notes: what was found damaged or missing in the run, and what was done about it.
        limit: why no further trial is started; empty while the search may go on.
        gave_up: that is because everything fails: trials that report still go on.
        session_ends: how many trials of each status have ended in this session.
        reporting: the open trials that have reported in this session.
        time: seconds by what they went into.
        stop: why the last session has ended, empty at the end of the run; None if its end is not written down.
    """

    def __init__(
        self, metric: str, sign: float, journal: Journal | None = None, *, clock: Callable[[], float] | None = None
    ) -> None:
        self.metric, self.sign = metric, sign
        self.trials: dict[str, Trial] = {}
        self.open: dict[str, Trial] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.prior: dict[str, list[Observation]] = {}
        self.permanent: set[str] = set()
        self.limit, self.gave_up = "", False
        self.stop: str | None = None
        self.notes: list[str] = []
        self.session_ends: Counter[Status] = Counter()
        self.reporting: set[str] = set()
        self.time = TimeSpent()
        self._journal = journal
        self._clock, self._has_own_clock = clock or time.time, clock is not None
        self._begun = time.monotonic()
        self._ended: list[Trial] = []
        self._by_config: dict[Key, list[Trial]] = {}
        self._observations: dict[Key, Observation] = {}
        self._running: dict[str, Observation] = {}
        self._fault_at: dict[str, str] = {}
        self._repeatable: dict[Key, Trial] = {}
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Calls `listener` after every event from now on."""
        self._listeners.append(listener)

    def replay(self, events: Iterable[Event]) -> None:
        """Applies the events of a journal, without writing them again. Raises SweepError for one that cannot follow."""
        for number, event in enumerate(events, 1):
            try:
                self._check(event)
                self._apply(event)
            except UnknownEvent as error:
                rule = "the run was made by a newer version of halving: use that one"
                raise SweepError(f"journal: event {number} is {error}; {rule}") from None
            except (AttributeError, KeyError, TypeError, ValueError):
                raise SweepError(f"journal: event {number} does not follow from those before it: {event}") from None

    def begin_session(self, slots: int, code: Mapping[str, Any] | None = None, sweep: str = "") -> None:
        """Begin the work of a process on the run: what ran has no process now, limits are looked at anew.

        slots: how many trials it runs side by side. code: where the user's modules are, as in `UserCode.to_dict`.
        sweep: its sweep as YAML, should the file get lost.
        """
        self._begun = time.monotonic()
        event = {"event": "session", "host": socket.gethostname(), "pid": os.getpid(), "slots": slots}
        more = {"code": code, "sweep": sweep}
        self._append({**event, **{name: value for name, value in more.items() if value}})

    def note(self, text: str, trial: str = "") -> None:
        """Keep a line for whoever looks at the run: what was found damaged or missing, and what was done."""
        self._append({"event": "note", "trial": trial, "text": text})

    def learn(self, place: str, observations: Iterable[Observation]) -> None:
        """Adds what an earlier run has shown: the search is to go on alike when that run is no longer there."""
        self._append({"event": "prior", "place": place, "observations": [_as_data(shown) for shown in observations]})

    def propose(self, config: Config, seconds: float = 0.0, repeat: int = 0) -> Trial:
        """Adds a trial; `seconds` is what it took to find its configuration."""
        trial = f"{len(self.trials) + 1:04d}"
        event = {"event": "propose", "trial": trial, "config": config, "seconds": seconds, "repeat": repeat}
        self._append(event)
        return self.trials[trial]

    def start(self, trial: str) -> None:
        self._append({"event": "start", "trial": trial})

    def report(self, trial: str, report: Mapping[str, Any]) -> None:
        """Adds an epoch, in the shape of `Epoch.to_report`. Raises KeyError, TypeError or ValueError for another."""
        self._append({"event": "epoch", "trial": trial, **Epoch.of(report).to_report()})

    def fault(self, trial: str, error: str, place: str = "") -> None:
        """An attempt failed, and the trial waits for another; `place` as in `end`."""
        self._append({"event": "fault", "trial": trial, "error": error, "place": place})

    def end(self, trial: str, status: Status, error: str = "", place: str = "", by: str = "") -> None:
        """Ends a trial once; reports after its end are left out.

        place: of an error, equal for the same one at the same place of the user's code; empty if that is not known.
        by: `asha` or `limit`, of a trial that is stopped.
        """
        if trial in self.open:
            more = {name: value for name, value in (("place", place), ("by", by)) if value}
            self._append({"event": "end", "trial": trial, "status": status, "error": error, **more})

    def reach_limit(self, reason: str, *, gave_up: bool = False) -> None:
        """Start no further trial for that reason; an empty one lifts it."""
        event = {"event": "limit", "reason": reason}
        self._append({**event, "gave_up": True} if gave_up else event)

    def end_session(self, reason: str, *, searching: bool) -> None:
        """The driver stops working on the run. searching: that ends its search, and not the making of models."""
        self._append({"event": "stop", "reason": reason, "searching": searching})

    def mark_interrupted(self) -> None:
        """Open trials have no driver: nothing is written, and the next session takes them up."""
        for trial in self.open.values():
            trial.status = "interrupted"

    def silence(self, trial: str) -> float:
        """Seconds since the trial last started or reported in this session."""
        now = self._clock() if self._has_own_clock else time.monotonic() - self._begun
        return now - self.trials[trial].heard

    def add_model(self, row: dict[str, Any]) -> None:
        """Adds a compressed model or lays new figures over the one of the same id."""
        self._append({"event": "model", "row": row})

    @property
    def ended(self) -> list[Trial]:
        """The trials that are over, in the order in which they ended."""
        return self._ended

    @property
    def elapsed(self) -> float:
        """Seconds of all sessions together, from each one's first event to its last."""
        return self.time.elapsed

    @property
    def epochs_trained(self) -> int:
        """Of all trials together."""
        return sum(len(trial.epochs) for trial in list(self.trials.values()))

    def observations(self) -> list[Observation]:
        """What searchers learn from, one of each configuration.

        Those of earlier runs, then the configurations with a trial that is over, in the order of their first ends, then
        those that run and have reported. A further repeat counts once it is over.
        """
        running = [self._so_far(trial) for trial in self._first_repeats() if trial.epochs]
        prior = [shown for place in self.prior.values() for shown in place]
        return [*prior, *self._observations.values(), *running]

    def pending(self) -> list[Config]:
        """The configurations proposed of which no trial is over."""
        return [trial.config for trial in self._first_repeats()]

    def to_repeat(self, repeats: int) -> Trial | None:
        """A trial that completed, the last of its configuration, if that has fewer than `repeats`; the first such."""
        return next((trial for trial in self._repeatable.values() if trial.repeat + 1 < repeats), None)

    def best(self, count: int = 1) -> list[Trial]:
        """The trials with the lowest losses, best first, the earlier of equals first."""
        scored = (trial for trial in self.trials.values() if not math.isnan(trial.loss))
        return heapq.nsmallest(count, scored, key=lambda trial: trial.loss)

    def best_over(self, count: int = 1) -> list[Trial]:
        """`best` of the trials that are over, of which no epoch and no checkpoint will change."""
        best = self.best(count + len(self.open))
        return [trial for trial in best if trial.is_over][:count]

    def _first_repeats(self) -> list[Trial]:
        return [trial for trial in self.open.values() if not trial.repeat]

    def _so_far(self, trial: Trial) -> Observation:
        """The same object until the trial reports again: searchers see by that what is new."""
        if trial.id not in self._running:
            self._running[trial.id] = self._observation(trial)
        return self._running[trial.id]

    def _observation(self, trial: Trial) -> Observation:
        curve = tuple(self.sign * epoch.value(self.metric) for epoch in trial.epochs)
        return Observation(
            config=trial.config,
            loss=trial.loss,
            budget=len(curve),
            cost=trial.seconds,
            curve=curve,
            complete=trial.status == "completed",
            share=trial.epochs[-1].cost.get("share", math.nan) if trial.epochs else math.nan,
        )

    def _append(self, event: Event) -> None:
        event = {**event, "time": round(self._clock(), 3)}
        if not self._has_own_clock:
            event["at"] = round(time.monotonic() - self._begun, 3)
        self._check(event)
        if self._journal:
            self._journal.append(event)
        self._apply(event)
        for listener in self._listeners:
            listener(event)

    def _check(self, event: Event) -> None:
        """Raises ValueError or KeyError for an event that cannot follow; `_apply` takes all others."""
        check_event(event)
        kind = event["event"]
        if kind == "propose" and event["trial"] in self.trials:
            raise ValueError(f"trial {event['trial']} is known")
        if kind in ("start", "epoch", "fault", "end"):
            known = self.open if kind == "end" else self.trials
            known[event["trial"]]
        if kind == "epoch":
            Epoch.of(event).metrics[self.metric]
        if kind == "model":
            event["row"]["id"]

    def _apply(self, event: Event) -> None:
        self.time.add(event)
        getattr(self, f"_on_{event['event']}")(event)

    def _on_session(self, event: Event) -> None:
        self.limit, self.gave_up, self.stop = "", False, None
        self.session_ends.clear()
        self.reporting.clear()
        self.permanent.clear()
        self._fault_at.clear()
        for trial in self.open.values():
            trial.status = "pending"

    def _on_stop(self, event: Event) -> None:
        self.stop = event["reason"]

    def _on_prior(self, event: Event) -> None:
        self.prior[event["place"]] = [
            Observation(**{**shown, "curve": tuple(shown["curve"])}) for shown in event["observations"]
        ]

    def _on_propose(self, event: Event) -> None:
        trial = Trial(event["trial"], event["config"], event["time"], event.get("repeat", 0))
        self.trials[trial.id] = self.open[trial.id] = trial
        self._repeatable.pop(key(trial.config), None)

    def _on_start(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.status = "running"
        trial.attempts += 1
        trial.heard = moment(event)
        if math.isnan(trial.started):
            trial.started = event["time"]

    def _on_epoch(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        epoch = Epoch.of(event)
        self._running.pop(trial.id, None)
        trial.node, trial.finished, trial.heard = epoch.node, epoch.finished, moment(event)
        self.reporting.add(trial.id)
        trial.epochs.append(epoch)
        loss = self.sign * epoch.value(self.metric)
        trial.loss = loss if math.isnan(trial.loss) else min(trial.loss, loss)

    def _on_fault(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.status = "pending"
        trial.faults.append(event["error"])
        self._failed_at(trial.id, event)

    def _on_end(self, event: Event) -> None:
        trial = self.open.pop(event["trial"])
        self._running.pop(trial.id, None)
        self.reporting.discard(trial.id)
        self.session_ends[event["status"]] += 1
        trial.status, trial.error, trial.ended = event["status"], event["error"], event["time"]
        if trial.status == "failed":
            trial.loss = math.nan
            self._failed_at(trial.id, event)
        if trial.status == "stopped":
            trial.stopped_by = event.get("by") or ("limit" if self.limit and not self.gave_up else "asha")
        self._ended.append(trial)
        config = key(trial.config)
        repeats = self._by_config.setdefault(config, [])
        repeats.append(trial)
        self._observations[config] = average([self._observation(one) for one in repeats])
        if trial.status == "completed":
            self._repeatable[config] = trial

    def _failed_at(self, trial: str, event: Event) -> None:
        """Remembers the place of an attempt's error, which is permanent if the attempt before failed there as well."""
        place = event.get("place", "")
        if place and self._fault_at.get(trial) == place:
            self.permanent.add(place)
        self._fault_at[trial] = place

    def _on_limit(self, event: Event) -> None:
        self.limit, self.gave_up = event["reason"], bool(event.get("gave_up"))

    def _on_note(self, event: Event) -> None:
        self.notes.append(f"trial {event['trial']}: {event['text']}" if event["trial"] else event["text"])

    def _on_model(self, event: Event) -> None:
        row = event["row"]
        self.models[row["id"]] = {**self.models.get(row["id"], {}), **row}


def _as_data(shown: Observation) -> dict[str, Any]:
    return {**asdict(shown), "curve": list(shown.curve)}
