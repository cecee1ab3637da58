"""A searcher of ours as Ray Tune wants one: the only place that knows both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher as TuneSearcher

from orchestrator.record import Record, Trial
from orchestrator.searchers import Searcher


class RaySearcher(TuneSearcher):
    """Proposes from the record. Results reach the record by the scheduler, so none are kept here.

    Args:
        limit: trials in all; None goes on until the space is exhausted.
        job: what a trial's process needs to know of a trial, as plain data.
    """

    def __init__(
        self, searcher: Searcher, record: Record, limit: int | None, job: Callable[[Trial], dict[str, Any]]
    ) -> None:
        super().__init__()
        self._searcher, self._record, self._limit, self._job = searcher, record, limit, job

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        """The next trial's job, or FINISHED when the limit or the end of the space is reached."""
        if self._limit is not None and len(self._record.trials) >= self._limit:
            return str(TuneSearcher.FINISHED)
        config = self._searcher.suggest(self._record.observations(), self._record.pending())
        if config is None:
            return str(TuneSearcher.FINISHED)
        return self._job(self._record.propose(config))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to do: the record has heard it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the record is replayed from the journal."""
