"""Seconds of a run, counted from its events session by session: elapsed, of the search, and of its workers by phase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from orchestrator.events import Event

Span = tuple[float, float]
"""From and to, in seconds of wall-clock time."""


def moment(event: Event) -> float:
    """Seconds by the clock of the event's session, which nobody sets; by the wall clock in journals without it."""
    return float(event["at"] if "at" in event else event["time"])


class TimeSpent:
    """Time that passed within sessions; the time between two of them never counts.

    A trial takes a worker from its proposal or start to its fault or end. The seconds that its epochs report count up
    to the time that has passed for it, and those of proposals up to the time in which a worker was free: the phases
    never add up to more than the workers' time.

    Attributes:
        elapsed: seconds of all sessions, each from its first event to its last.
        search: of these, those of the search: without what passed until a model was made.
        workers: seconds of the search, times the trials that could run, or did run, side by side.
        phases: seconds of workers by what they went into.
        proposals: seconds in which configurations were found.
        sessions: from and to, of each session, by the wall clock at its beginning.
    """

    def __init__(self) -> None:
        self.elapsed = self.search = self.workers = self.proposals = 0.0
        self.phases: defaultdict[str, float] = defaultdict(float)
        self.sessions: list[Span] = []
        self._slots = 1
        self._last = 0.0
        self._free = 0.0
        self._since: dict[str, float] = {}
        self._unspent: dict[str, float] = {}

    def add(self, event: Event) -> None:
        """Count the time up to an event, the next one of the journal."""
        now = moment(event)
        if event["event"] == "session" or not self.sessions:
            self._begin(event, now)
        passed = max(0.0, now - self._last)
        self._last = now
        self.elapsed += passed
        begun, ended = self.sessions[-1]
        self.sessions[-1] = (begun, ended + passed)
        if event.get("searching", event["event"] != "model"):
            self._pass(passed)
        getattr(self, f"_on_{event['event']}", lambda event: None)(event)

    def _begin(self, event: Event, now: float) -> None:
        self.sessions.append((event["time"], event["time"]))
        self._slots, self._last, self._free = event.get("slots", 1), now, 0.0
        self._since.clear()

    def _pass(self, seconds: float) -> None:
        busy = len(self._since)
        self.search += seconds
        self.workers += seconds * max(busy, self._slots)
        self._free += seconds * max(self._slots - busy, 0)

    def _on_propose(self, event: Event) -> None:
        self.proposals += event["seconds"]
        self.phases["propose"] += self._take_free(event["seconds"])
        self._since[event["trial"]] = self.search

    def _on_start(self, event: Event) -> None:
        """The time since a proposal of this session; a later attempt takes a worker from here on."""
        trial = event["trial"]
        if trial in self._since and trial not in self._unspent:
            self.phases["start"] += self.search - self._since[trial]
        self._since[trial] = self.search
        self._unspent[trial] = 0.0

    def _on_epoch(self, event: Event) -> None:
        """Several epochs may be reported at once: what the first leaves of the time is the others'."""
        trial, timing = event["trial"], event["timing"]
        wanted = sum(timing.values())
        known = trial in self._since
        passed = self._unspent.get(trial, 0.0) + self.search - self._since[trial] if known else self._take_free(wanted)
        share = min(1.0, passed / wanted) if wanted > 0 else 0.0
        for phase, seconds in timing.items():
            self.phases[phase] += share * seconds
        self._since[trial] = self.search
        self._unspent[trial] = passed - share * wanted

    def _take_free(self, seconds: float) -> float:
        """As much of the seconds as workers were free in this session."""
        taken = min(seconds, self._free)
        self._free -= taken
        return taken

    def _on_fault(self, event: Event) -> None:
        self._since.pop(event["trial"], None)
        self._unspent.pop(event["trial"], None)

    _on_end = _on_fault


def union(spans: Iterable[Span]) -> float:
    """Seconds that any of the spans covers."""
    total, covered = 0.0, float("-inf")
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, covered))
        covered = max(covered, ended)
    return total


def minutes_of(seconds: float) -> str:
    """Minutes and seconds, such as 2:51."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
