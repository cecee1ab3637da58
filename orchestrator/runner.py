"""From a sweep to a finished run: search, then compress, every step through the record."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune

from orchestrator.cluster import connected, slots
from orchestrator.compression import compress_best
from orchestrator.data_fit import check_data
from orchestrator.errors import LockLost, StoreFailed, unfinished
from orchestrator.journal import Event, SessionJournal
from orchestrator.lock import RunLock
from orchestrator.progress import Progress
from orchestrator.ray_searcher import RaySearcher
from orchestrator.ray_trial import TorchTrial
from orchestrator.record import Record, Trial
from orchestrator.retention import Retention
from orchestrator.run_folder import Run, check_new, make_folder, open_run, write_sweep
from orchestrator.scheduling import Asha
from orchestrator.searchers import Observation, make_searcher
from orchestrator.signals import Halt, StopRequest
from orchestrator.sweep import Sweep, WorkerConfig, changed
from orchestrator.tables import write_tables
from orchestrator.warm_start import earlier_observations
from trainables.storage import Place, absolute, join


def run(sweep: Sweep, *, replace: bool = False, quiet: bool = False) -> Run:
    """Runs a sweep to its end and returns what it found.

    Args:
        replace: deletes an earlier run of the same name first.
        quiet: shows no progress.

    Raises:
        SweepError, DataError: the sweep cannot be run as asked; nothing has been started.
        StorageError, StoreError: neither can its storage; nothing has been started.
        Interrupted, Unfinished: the run has ended before its end; `resume` goes on with it.
    """
    _check(sweep)
    earlier_observations(sweep.search.warm_start, sweep)
    check_new(sweep, replace)
    with connected():
        slots(sweep.workers)
        make_folder(sweep)
        with RunLock(sweep.folder) as lock:
            return _work(sweep, sweep.folder, lock, quiet)


def resume(path: Place, changes: Mapping[str, Any] | None = None, *, quiet: bool = False) -> Run:
    """Goes on with a run that ended for whatever reason, or that is to have more trials.

    Trials that were under way go on from their last checkpoints, under their own ids; finished ones stay. The
    journal is replayed into the searcher and into ASHA's rungs.

    Args:
        changes: what is to be otherwise, in the shape of a sweep: {"search": {"trials": 60}}. The folder, the seed, the
            metric and what trials share, except `train.epochs`, must stay as they are.

    Raises:
        SweepError, DataError: the run cannot be resumed as asked, or another process is at work on it.
        StorageError, StoreError, Interrupted, Unfinished: as for `run`.
    """
    before = open_run(path)
    sweep = changed(before.sweep, changes or {})
    _check(sweep)
    with RunLock(before.folder) as lock, connected():
        slots(sweep.workers)
        write_sweep(sweep, before.folder)
        return _work(sweep, before.folder, lock, quiet)


def _work(sweep: Sweep, folder: Place, lock: RunLock, quiet: bool) -> Run:
    """A session on a run whose lock is held: from what its journal says to the end of the run."""
    journal = SessionJournal(join(folder, "journal"), lock.check)
    record = Record(sweep.metric, sweep.sign, journal)
    try:
        _search_and_compress(sweep, record, list(journal.read()), folder, quiet)
        lock.check()
        write_tables(record, folder)
    except Halt as halt:
        if not isinstance(halt.reason, LockLost | StoreFailed):
            with suppress(OSError):
                write_tables(record, folder)
        raise halt.reason from None
    except OSError as error:
        raise unfinished(error) or error from None
    finally:
        journal.close()
    return open_run(folder)


def _search_and_compress(sweep: Sweep, record: Record, events: list[Event], folder: Place, quiet: bool) -> None:
    """Brings record, rungs and folder to where the events end, and goes on from there."""
    record.replay(events)
    earlier = _learned(sweep, record, quiet)
    concurrent = int(min(slots(sweep.workers), sweep.concurrent or math.inf))
    record.begin_session(concurrent)
    for place, observations in earlier.items():
        record.learn(place, observations)
    asha, retention = Asha(sweep, record), Retention(record, folder, sweep.keep_checkpoints)
    asha.replay(events)
    events.clear()
    retention.clear()
    record.listen(retention)
    with StopRequest() as request, Progress(sweep, record, quiet=quiet):
        _search(sweep, record, folder, asha, request, concurrent)
        if sweep.compress:
            compress_best(sweep, record, folder, request)


def _learned(sweep: Sweep, record: Record, quiet: bool) -> dict[str, list[Observation]]:
    """What the earlier runs have shown that the record has not learned from yet, by their place."""
    new = [place for place in sweep.search.warm_start if place not in record.prior]
    tell = (lambda line: None) if quiet else print
    return {place: earlier_observations([place], sweep, tell) for place in new}


def _search(sweep: Sweep, record: Record, folder: Place, asha: Asha, request: StopRequest, concurrent: int) -> None:
    """Runs trials until there are no more or the user asks to stop; all of it is in the record."""

    def job(trial: Trial) -> dict[str, Any]:
        start = {
            "config": sweep.trial_config(trial.config, trial.repeat).model_dump(mode="json"),
            "folder": str(absolute(join(folder, "checkpoints", trial.id))),
            "known_epochs": len(trial.epochs),
            "save_at": asha.rungs(),
        }
        if sweep.has_own_loop:
            start |= {"trial": trial.id, "metric": sweep.metric}
        return {
            "trial": trial.id,
            "start": start,
            "workers": sweep.workers.model_dump(),
            "hang_after": sweep.faults.hang_after,
        }

    searcher = make_searcher(
        sweep.search.name,
        sweep.space,
        sweep.seed,
        rungs=sorted({*asha.rungs(), sweep.epochs}),
        per_second=sweep.search.per_second,
        start=sweep.search.start,
    )
    ray_folder = Path(tempfile.gettempdir(), "ray")
    ray_folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ray_folder, prefix="halving-") as scratch:
        # Not tune.Tuner: it pickles searcher and scheduler, which hold the journal.
        tune.run(
            TorchTrial,
            name="tune",
            search_alg=RaySearcher(searcher, record, sweep.search, job),
            scheduler=asha,
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            resources_per_trial=_bundles(sweep.workers),
            callbacks=[_Steps(record, request)],
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


def _check(sweep: Sweep) -> None:
    """Raises SweepError or DataError before anything is started."""
    sweep.check()
    if not sweep.has_own_loop:
        check_data(sweep)
