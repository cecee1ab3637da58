"""A search in virtual time: recorded curves take the place of training; all that decides is what a sweep uses."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

from pydantic import Field, model_validator

from orchestrator.errors import SweepError
from orchestrator.ray_searcher import RaySearcher
from orchestrator.record import Record, Trial
from orchestrator.scheduling import Asha, budgets
from orchestrator.searchers import SEARCHERS, Searcher, make_searcher
from orchestrator.sections import AshaConfig, FaultConfig, LimitConfig, SearchConfig, Section
from orchestrator.simulation.curves import Curve, Curves
from orchestrator.simulation.outcome import Outcome
from orchestrator.simulation.waiting import Waiting
from search_spaces import Config, nearest
from trainables.config import Count, Seed
from trainables.errors import Stopped


class Simulation(Section):
    """What is simulated: the rules of a sweep, and how its time passes.

    Attributes:
        workers: so many trials train side by side.
        trials: so many at most; None goes on until the space is exhausted or a limit is reached.
        epochs: the most that a trial may train; None is as many as the longest curve has.
        faults: a recorded trial that failed would fail again, so that another attempt is none of the defaults.
        epoch_seconds: of every epoch, in place of the recorded ones.
        counts_proposals: the seconds that a searcher really takes pass in virtual time, too: a free worker waits for
            its proposal, and proposals are made one after the other. The same simulation then never comes out the same.
    """

    workers: Count
    trials: Count | None
    epochs: Count
    seed: Seed = 0
    asha: AshaConfig | None = AshaConfig()
    limits: LimitConfig = LimitConfig()
    faults: FaultConfig = FaultConfig(retries=0)
    epoch_seconds: float | None = Field(default=None, gt=0)
    counts_proposals: bool = False

    @property
    def trains_students(self) -> bool:
        """Curves are of trials, not of students."""
        return False

    def compares(self, config: Config) -> bool:
        """All are compared."""
        return True

    @model_validator(mode="after")
    def _check(self) -> Simulation:
        if self.asha and self.asha.grace_period > self.epochs:
            rule = f"asha.grace_period: must be at most {self.epochs}, the epochs of the longest curve"
            raise ValueError(f"{rule}, but got {self.asha.grace_period}")
        if self.asha and self.asha.brackets > (rungs := self.asha.rungs(self.epochs)):
            raise ValueError(f"asha.brackets: must be at most {rungs}, the rungs, but got {self.asha.brackets}")
        return self


def compare(
    simulation: Simulation, curves: Curves, methods: Sequence[str], seeds: int, *, quiet: bool = False
) -> dict[str, list[Outcome]]:
    """Simulate each searcher with the seeds 0 to seeds - 1, all searchers of a seed in turn; progress is on stderr.

    Raises:
        SweepError, SpaceError: a method is no searcher's name, or does not suit the space.
        Stopped: Ctrl-C; it holds the outcomes so far, as they are returned.
    """
    known = budgets(simulation)
    makers = {name: partial(make_searcher, name, curves.space, rungs=known) for name in methods}
    for name, make in makers.items():
        if name not in SEARCHERS:
            hint = nearest(name, SEARCHERS)
            raise SweepError(f"--search: must be of {', '.join(SEARCHERS)}, but got {name!r}" + (hint and f";{hint}"))
        make(0)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in methods}
    try:
        with Waiting(seeds * len(makers), simulation.trials or len(curves), quiet=quiet) as waiting:
            for seed in range(seeds):
                seeded = simulation.model_copy(update={"seed": seed})
                for name, make in makers.items():
                    outcomes[name].append(simulate(seeded, curves, make(seed), on_start=waiting.trial))
                    waiting.search()
    except KeyboardInterrupt:
        raise Stopped({name: of_method for name, of_method in outcomes.items() if of_method}) from None
    return outcomes


def simulate(
    simulation: Simulation, curves: Curves, searcher: Searcher, *, on_start: Callable[[], None] = lambda: None
) -> Outcome:
    """Run the search to its end.

    A proposed configuration trains along the curve of the nearest recorded one. Without `counts_proposals` the outcome
    follows from the arguments. `on_start` is called for each trial that starts.
    """
    return _Run(simulation, curves, searcher, on_start).to_the_end()


class _Run:
    """The state of a simulation: a record, who is idle since when, and what happens next."""

    def __init__(
        self, simulation: Simulation, curves: Curves, searcher: Searcher, on_start: Callable[[], None]
    ) -> None:
        self._simulation, self._curves, self._on_start = simulation, curves, on_start
        self._now = self._proposer_free = self._last_start = self._waited = 0.0
        self._record = Record(curves.metric, curves.sign, clock=lambda: self._now)
        self._record.begin_session(simulation.workers)
        self._asha = Asha(simulation, self._record)
        settings = SearchConfig(trials=simulation.trials)
        self._source = RaySearcher(searcher, self._record, settings, _job, self._asha.look_at_limits)
        self._idle = deque([0.0] * simulation.workers)
        self._attempts = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._improvements: list[tuple[float, float]] = []

    def to_the_end(self) -> Outcome:
        self._hand_out()
        while self._events:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
            self._hand_out()
        paid = self._simulation.workers * self._last_start
        return Outcome(
            record=self._record,
            seconds=self._now,
            improvements=tuple(self._improvements),
            waited=self._waited / paid if paid else 0.0,
        )

    def _after(self, seconds: float, happen: Callable[[], None]) -> None:
        """Of events at the same time the one that was planned first happens first."""
        heapq.heappush(self._events, (self._now + seconds, next(self._numbers), happen))

    def _hand_out(self) -> None:
        """Gives trials to idle workers, as long as there are both and the searcher is not busy."""
        while self._idle and self._now >= self._proposer_free:
            attempt, before = str(next(self._attempts)), self._record.time.proposals
            job = self._source.suggest(attempt)
            if not isinstance(job, dict):
                return
            seconds = self._record.time.proposals - before if self._simulation.counts_proposals else 0.0
            self._proposer_free = self._now + seconds
            trial = self._record.trials[job["trial"]]
            self._after(seconds, partial(self._start, attempt, trial, self._idle.popleft()))

    def _start(self, attempt: str, trial: Trial, idle_since: float) -> None:
        self._on_start()
        self._waited += self._now - idle_since
        self._last_start = self._now
        self._record.start(trial.id)
        self._train(attempt, trial, self._curves.nearest(trial.config))

    def _train(self, attempt: str, trial: Trial, curve: Curve) -> None:
        seconds = self._simulation.epoch_seconds or curve.duration(len(trial.epochs) + 1)
        self._after(seconds, partial(self._report, attempt, trial, curve, seconds))

    def _report(self, attempt: str, trial: Trial, curve: Curve, seconds: float) -> None:
        epoch = len(trial.epochs) + 1
        loss = curve.loss(epoch)
        # The loss of a training that fails later is no result: what regret is counted from leaves it out, too.
        if curve.status != "failed" and loss < (self._improvements[-1][1] if self._improvements else math.inf):
            self._improvements.append((self._now, loss))
        if self._asha.hear(trial.id, self._told(epoch, loss, seconds, curve.ends_at(epoch))):
            self._train(attempt, trial, curve)
        else:
            self._source.on_trial_complete(attempt)
            self._idle.append(self._now)

    def _told(self, epoch: int, loss: float, seconds: float, complete: bool) -> dict[str, Any]:
        """What a worker would report of that epoch."""
        if math.isnan(loss):
            return {"error": f"failed in epoch {epoch}, as recorded"}
        return {
            "epoch": epoch,
            "metrics": {self._curves.metric: self._curves.sign * loss},
            "seconds": seconds,
            "timing": {"train": seconds},
            "node": "",
            "finished": complete or epoch >= self._simulation.epochs,
        }


def _job(trial: Trial) -> dict[str, Any]:
    return {"trial": trial.id}
