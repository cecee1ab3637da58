"""A searcher of ours as Ray Tune wants one: the only place that knows both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher as TuneSearcher

from orchestrator.record import Record, Trial
from orchestrator.searchers import Searcher
from orchestrator.sections import SearchConfig


class RaySearcher(TuneSearcher):
    """Hands out trials: first those that wait for an attempt, then repeats of what completed, then new ones.

    A trial of Ray's is one attempt at a trial of ours. Results reach the record by the scheduler: none are kept here.

    Args:
        settings: `trials` in all, where None goes on until the space is exhausted, and `repeats` of a configuration.
        job: what a trial's process needs to know of a trial, as plain data.
        look_at_limits: called before a trial is started: an end may have reached one.
        minds_limit: no trial is started once the record has reached a limit; else that is up to the searcher.
    """

    def __init__(
        self,
        searcher: Searcher,
        record: Record,
        settings: SearchConfig,
        job: Callable[[Trial], dict[str, Any]],
        look_at_limits: Callable[[], None] = lambda: None,
        *,
        minds_limit: bool = True,
    ) -> None:
        super().__init__()
        self._look_at_limits, self._minds_limit = look_at_limits, minds_limit
        self._searcher, self._record, self._settings, self._job = searcher, record, settings, job
        self._attempts: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """A job; None while nothing can be started but an attempt under way may fail; FINISHED at the end."""
        self._look_at_limits()
        ended = self._minds_limit and self._record.limit
        trial = None if ended else self._waiting() or self._propose()
        if trial is None:
            return None if self._attempts else str(TuneSearcher.FINISHED)
        self._attempts[trial_id] = trial.id
        return self._job(trial)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The attempt is over; if its trial is not, it waits for the next. Ray may say so twice."""
        self._attempts.pop(trial_id, None)

    def _waiting(self) -> Trial | None:
        under_way = set(self._attempts.values())
        return next((trial for trial in self._record.open.values() if trial.id not in under_way), None)

    def _propose(self) -> Trial | None:
        limit = self._settings.trials
        if limit is not None and len(self._record.trials) >= limit:
            return None
        if self._settings.repeats > 1 and (last := self._record.to_repeat(self._settings.repeats)):
            return self._record.propose(last.config, repeat=last.repeat + 1)
        started = time.perf_counter()
        config = self._searcher.suggest(self._record.observations(), self._record.pending())
        return None if config is None else self._record.propose(config, time.perf_counter() - started)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the record is replayed from the journal."""
