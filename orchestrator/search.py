"""The search of a sweep, from where its journal ends to its own end: trials by Ray Tune, all of it in the record."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ray import tune

from orchestrator.carry_over import CarriedOver, carry_over
from orchestrator.cluster import slots
from orchestrator.events import Event
from orchestrator.extension import how_to_extend, what_ended
from orchestrator.layout import CHECKPOINTS
from orchestrator.lock import RunLock
from orchestrator.new_run import sweep_text
from orchestrator.progress import Progress
from orchestrator.ray_searcher import RaySearcher
from orchestrator.ray_trial import TorchTrial
from orchestrator.record import Record, Trial
from orchestrator.retention import Retention
from orchestrator.scheduling import Asha, budgets
from orchestrator.searchers import Observation, Searcher, make_searcher
from orchestrator.signals import Halt, StopRequest
from orchestrator.sweep import Sweep, WorkerConfig
from orchestrator.trial_log import RunLogs
from orchestrator.user_code import UserCode
from orchestrator.warm_start import earlier_observations
from search_spaces import encode
from trainables.storage import Place, absolute, join


@dataclass(frozen=True)
class Session:
    """A process at work on a run.

    request: whether it has been asked to stop. lock: on the run. elapsed: seconds of all the run's sessions, up to now.
    quiet: shows no progress. code: where the user's modules are.
    """

    request: StopRequest
    lock: RunLock
    elapsed: Callable[[], float]
    quiet: bool
    code: UserCode


def end_session(record: Record, reason: str, *, searching: bool) -> None:
    """Write down that no process works on the run from now on, as far as its storage takes it; see `Record`."""
    with suppress(Halt, OSError):
        record.end_session(reason, searching=searching)
    record.mark_interrupted()


def search(
    sweep: Sweep,
    folder: Place,
    record: Record,
    events: list[Event],
    session: Session,
    searcher: Searcher | None = None,
) -> None:
    """Runs trials until there are no more or the user asks to stop.

    Args:
        record: with the events of its journal replayed.
        events: of the journal; emptied when the rungs have them, since a long run has many.
        searcher: proposes until it has nothing more; None is the sweep's own, within its limits and number of trials.

    Raises:
        Halt: the run has been asked to stop, or its storage fails.
    """
    concurrent = int(min(slots(sweep.workers), sweep.concurrent or math.inf))
    asha = _begin(sweep, folder, record, events, concurrent, session)
    tell = (lambda line: None) if session.quiet else print
    if searcher is None and (over := what_ended(sweep, record)):
        tell(f"nothing to search: {over}; {how_to_extend(sweep, record, folder)}")
        return
    proposer = searcher or sweep_searcher(sweep)
    _tell_carried(proposer, record, tell)
    hands_out = RaySearcher(
        proposer,
        record,
        sweep.search if searcher is None else sweep.search.model_copy(update={"trials": None}),
        lambda trial: _job(sweep, trial, folder, asha.rungs(), session),
        asha.look_at_limits,
        minds_limit=searcher is None,
    )
    with Progress(sweep, record, session.elapsed, quiet=session.quiet):
        _run_trials(sweep, hands_out, asha, _Steps(record, session.request), concurrent)
    if searcher is None:
        asha.end_due()


def _begin(sweep: Sweep, folder: Place, record: Record, events: list[Event], concurrent: int, session: Session) -> Asha:
    """Begin a session: learn from earlier runs, fill the rungs, end what is due, remove checkpoints of no use."""
    earlier = _learned(sweep, record, session.quiet)
    record.begin_session(concurrent, session.code.to_dict(), sweep_text(sweep).decode())
    for place, observations in earlier.items():
        record.learn(place, observations)
    asha, retention = Asha(sweep, record, RunLogs(folder)), Retention(record, folder, sweep.keep_checkpoints)
    asha.replay(events)
    events.clear()
    retention.clear()
    record.listen(retention)
    return asha


def _tell_carried(searcher: Searcher, record: Record, tell: Callable[[str], None]) -> None:
    """Say how much of what the run has shown in other spaces informs the search."""
    if isinstance(searcher, CarriedOver):
        fitting, outside = searcher.count(record.observations())
        if outside:
            tell(f"the space has changed: {fitting} of {outside} configurations outside it inform the search")


def sweep_searcher(sweep: Sweep) -> Searcher:
    """The searcher that the sweep names; a Bayesian one learns from what the run has shown in other spaces, too."""
    searcher = make_searcher(
        sweep.search.name,
        sweep.space,
        sweep.seed,
        rungs=budgets(sweep),
        per_second=sweep.search.per_second,
        start=sweep.search.start,
    )
    return carry_over(searcher, sweep) if sweep.search.name == "bayes" else searcher


def _learned(sweep: Sweep, record: Record, quiet: bool) -> dict[str, list[Observation]]:
    """What the earlier runs have shown that the record has not learned from yet, by their place."""
    new = [place for place in sweep.search.warm_start if place not in record.prior]
    tell = (lambda line: None) if quiet else print
    return {place: earlier_observations([place], sweep, tell) for place in new}


def _job(sweep: Sweep, trial: Trial, folder: Place, rungs: Sequence[int], session: Session) -> dict[str, Any]:
    """What the process of a trial needs to know; see TorchTrial."""
    start = {
        "config": encode(sweep.trial_config(trial.config, trial.repeat).model_dump()),
        "folder": str(absolute(join(folder, CHECKPOINTS, trial.id))),
        "known_epochs": len(trial.epochs),
        "claim": asdict(session.lock.claim),
        "save_at": list(rungs),
    }
    if sweep.has_own_loop:
        start |= {"trial": trial.id, "metric": sweep.metric, "mode": sweep.mode}
    return {
        "trial": trial.id,
        "start": start,
        "workers": sweep.workers.model_dump(),
        "hang_after": sweep.faults.hang_after,
        "code": session.code.to_dict(),
        "log": {"run": str(absolute(folder)), "attempt": trial.attempts + 1},
    }


def _run_trials(sweep: Sweep, searcher: RaySearcher, asha: Asha, steps: _Steps, concurrent: int) -> None:
    # It would tell of failed attempts by Ray's own ids, which nobody knows; the record tells of them by ours.
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
    ray_folder = Path(tempfile.gettempdir(), "ray")
    ray_folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ray_folder, prefix="halving-") as scratch:
        # Not tune.Tuner: it pickles searcher and scheduler, which hold the journal.
        tune.run(
            TorchTrial,
            name="tune",
            search_alg=searcher,
            scheduler=asha,
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            resources_per_trial=_bundles(sweep.workers),
            callbacks=[steps],
            storage_path=scratch,
            raise_on_failed_trial=False,
            verbose=0,
        )


class _Steps(tune.Callback):
    """Hears of Tune's steps: a trial has its process; a moment at which the run can stop."""

    def __init__(self, record: Record, request: StopRequest) -> None:
        self._record, self._request = record, request

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._record.start(trial.config["trial"])

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._request.check()


def _bundles(workers: WorkerConfig) -> tune.PlacementGroupFactory:
    """One worker is the trial's own process; more have a bundle each, the trial's process none."""
    one = {"CPU": workers.cpus, "GPU": workers.gpus}
    return tune.PlacementGroupFactory([one] if workers.count == 1 else [{}] + [one] * workers.count)
