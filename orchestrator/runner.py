"""From a sweep to a finished run: search, then compress, every step through the record."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from orchestrator.changes import changed
from orchestrator.cluster import connected, slots
from orchestrator.compression import check_stage, compress_best
from orchestrator.data_fit import check_data
from orchestrator.errors import LockLost, StoreFailed, SweepError, unfinished
from orchestrator.journal import SessionJournal
from orchestrator.layout import JOURNAL, SWEEP
from orchestrator.lock import RunLock
from orchestrator.new_run import NewRun, sweep_text
from orchestrator.record import Record
from orchestrator.run_folder import Run, open_run
from orchestrator.search import Session, end_session, search
from orchestrator.signals import LAST_WORDS_S, Halt, StopRequest
from orchestrator.stage import StageConfig
from orchestrator.sweep import Sweep
from orchestrator.tables import write_tables
from orchestrator.user_code import UserCode
from orchestrator.warm_start import earlier_observations
from orchestrator.whole import replayed
from trainables.patience import hurry
from trainables.storage import Place, join, write_bytes


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
    UserCode.here(sweep.folder, sweep.beside).look_up()
    check(sweep, sweep.folder)
    earlier_observations(sweep.search.warm_start, sweep)
    with NewRun(sweep, replace) as new, connected():
        slots(sweep.workers)
        with RunLock(sweep.folder) as lock:
            new.begin()
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
    UserCode.of_run(before.folder, before.events()).look_up()
    sweep = changed(before.sweep, changes or {})
    check(sweep, before.folder)
    text = sweep_text(sweep)
    with RunLock(before.folder) as lock, connected():
        slots(sweep.workers)
        _check_same(before)
        return _work(sweep, before.folder, lock, quiet, text=text)


def compress_run(path: Place, stage: StageConfig | None = None, *, quiet: bool = False) -> Run:
    """Goes through the post-stage of a run that has searched, or on with it where it was.

    Args:
        stage: another one than the sweep's own, under a name of its own; None is the sweep's, or the default.

    Raises:
        SweepError: the run has no trial to compress, or the stage asks for what cannot be.
        StorageError, StoreError, Interrupted, Unfinished: as for `run`.
    """
    before = open_run(path)
    UserCode.of_run(before.folder, before.events()).look_up()
    stage = stage or before.sweep.compress or StageConfig()
    sweep = changed(before.sweep, {"compress": stage.model_dump()})
    record = before.record()
    parents = len(record.best_over(stage.best))
    check(sweep, before.folder, parents)
    if not parents:
        yet = "; halving resume goes on with those that are not over" if record.open else ""
        raise SweepError(f"{before.folder}: must have a trial with a result to compress, but it has none{yet}")
    with RunLock(before.folder) as lock, connected():
        slots(sweep.workers)
        _check_same(before)
        return _work(sweep, before.folder, lock, quiet, searches=False)


def _check_same(before: Run) -> None:
    """Raises SweepError if another process has changed the run between its opening and its lock."""
    if open_run(before.folder).sweep != before.sweep:
        raise SweepError(f"{before.folder}: must stay as it was when it was opened, but another process has changed it")


def _work(
    sweep: Sweep, folder: Place, lock: RunLock, quiet: bool, *, searches: bool = True, text: bytes | None = None
) -> Run:
    """A session on a run whose lock is held: from what its journal says to the end of the run.

    text: of the sweep, to be written once the journal has been read.
    """
    journal = SessionJournal(join(folder, JOURNAL), lock.check)
    record = Record(sweep.metric, sweep.sign, journal)
    try:
        events = replayed(journal, record, folder)
        if text is not None:
            write_bytes(join(folder, SWEEP), text)
        for note in () if quiet else record.notes:
            print(f"halving: {note}", file=sys.stderr)
        with StopRequest() as request:
            code = UserCode.of_run(folder, events, sweep.beside)
            session = Session(request, lock, _clock(Run(folder, sweep).elapsed(record)), quiet, code)
            if searches:
                search(sweep, folder, record, events, session)
            else:
                record.begin_session(slots(sweep.workers), code.to_dict(), sweep_text(sweep).decode())
            searches = False
            if sweep.compress:
                compress_best(sweep, sweep.compress, record, folder, session)
        end_session(record, "", searching=False)
        write_tables(record, folder, lock.check)
    except Halt as halt:
        hurry(LAST_WORDS_S)
        if isinstance(halt.reason, LockLost):
            lock.lose(halt.reason)
        if not isinstance(halt.reason, StoreFailed):
            end_session(record, str(halt.reason), searching=searches)
            with suppress(OSError, LockLost):
                write_tables(record, folder, lock.check)
        raise halt.reason from None
    except OSError as error:
        raise unfinished(error) or error from None
    finally:
        journal.close()
    return open_run(folder)


def _clock(before: float) -> Callable[[], float]:
    """Seconds of a run that had so many before now."""
    begun = time.monotonic()
    return lambda: before + time.monotonic() - begun


def check(sweep: Sweep, folder: Place, parents: int | None = None) -> None:
    """Raises SweepError or DataError before anything is started in that folder.

    parents: how many trials the post-stage will have; None is as many as there can be.
    """
    if sweep.trains_students:
        raise SweepError(f"{sweep.name}: holds students of a run; go on with that run: halving compress RUN")
    sweep.check()
    if sweep.has_own_loop:
        return
    data = check_data(sweep)
    if sweep.compress:
        most = sweep.compress.best if sweep.most_trials is None else min(sweep.compress.best, sweep.most_trials)
        check_stage(sweep, sweep.compress, data, folder, most if parents is None else parents)
