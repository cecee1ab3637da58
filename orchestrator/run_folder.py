"""A run on a disk or in a store, for reading: its tables as DataFrames, while it goes on or after."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pandas as pd

from orchestrator import analysis, tables
from orchestrator.errors import SweepError
from orchestrator.journal import Event, Journal
from orchestrator.lock import LOCK, RunLock
from orchestrator.record import Record
from orchestrator.sweep import Sweep, dump_sweep, load_sweep
from trainables.storage import Place, StoreError, children, delete_tree, exists, join, write_bytes

_SWEEP = "sweep.yaml"


class Run:
    """What a run folder holds. Everything is computed from the journal when asked for."""

    def __init__(self, folder: Place, sweep: Sweep) -> None:
        self.folder, self.sweep = folder, sweep

    def record(self) -> Record:
        """The run's record as of now."""
        record = Record(self.sweep.metric, self.sweep.sign)
        record.replay(self.events())
        return record

    def events(self) -> Iterator[Event]:
        """What happened, in order."""
        return Journal(join(self.folder, "journal")).read()

    def trials(self) -> pd.DataFrame:
        """A row a trial; see `orchestrator.tables.trials_table`."""
        return tables.trials_table(self.record())

    def epochs(self) -> pd.DataFrame:
        """A row a trial and epoch."""
        return tables.epochs_table(self.record())

    def models(self) -> pd.DataFrame:
        """A row a model of the post-stage."""
        return tables.models_table(self.record())

    def efficiency(self) -> pd.Series:
        """Where the workers' time went; see `orchestrator.analysis.efficiency`."""
        return analysis.efficiency(self.record())

    def best(self, count: int = 1) -> pd.DataFrame:
        """The `count` best trials, best first."""
        return analysis.best(self.trials(), self.sweep.metric, self.sweep.mode, count)

    def configs(self) -> pd.DataFrame:
        """A row a configuration, over its repeats; see `orchestrator.analysis.configurations`."""
        return analysis.configurations(self.trials(), self.sweep.metric, self.sweep.mode)


def open_run(path: Place) -> Run:
    """The run in a folder, or at a URI.

    Raises:
        SweepError: the folder is not a run's.
        StorageError, StoreError: there is no such store, or it does not answer.
    """
    folder = join(path)
    if not exists(join(folder, _SWEEP)):
        raise SweepError(f"{folder}: must be the folder of a run, but it holds no sweep.yaml")
    return Run(folder, load_sweep(join(folder, _SWEEP)))


def check_new(sweep: Sweep, replace: bool) -> None:
    """A run's folder must be new, or an earlier run that may be replaced. Changes nothing.

    Raises:
        SweepError: it is neither.
    """
    folder = sweep.folder
    try:
        inside = set(children(folder)) - {LOCK}
    except OSError as error:
        raise _unusable(folder, error) from None
    if not inside:
        return
    if _SWEEP not in inside:
        raise SweepError(f"name: {folder} must be free for the run, but it exists and is not the folder of a run")
    if not replace:
        raise SweepError(
            f"name: a run {sweep.name!r} must not exist yet in {sweep.storage}; choose another, give --replace, or go "
            f"on with it: halving resume {shlex.quote(str(folder))}"
        )


def make_folder(sweep: Sweep) -> None:
    """The run's folder with its sweep and nothing else. An earlier run in it is deleted, unless a process works on it.

    Raises:
        SweepError: the folder cannot be written, or is at work.
    """
    folder = sweep.folder
    try:
        if children(folder):
            with RunLock(folder):
                delete_tree(folder, keep=[LOCK])
        write_sweep(sweep, folder)
    except OSError as error:
        raise _unusable(folder, error) from None


def write_sweep(sweep: Sweep, folder: Place) -> None:
    """Writes the resolved sweep, whole or not at all."""
    write_bytes(join(folder, _SWEEP), dump_sweep(sweep).encode())


def _unusable(folder: Place, error: OSError) -> SweepError:
    why = str(error) if isinstance(error, StoreError) else f"{folder} must be writable, but: {error.strerror}"
    return SweepError(f"storage: {why}")
