"""A run on disk, for reading: its tables as DataFrames, while it goes on or after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from orchestrator import analysis, tables
from orchestrator.errors import SweepError
from orchestrator.journal import Event, Journal
from orchestrator.lock import LOCK, RunLock
from orchestrator.record import Record
from orchestrator.sweep import Sweep, dump_sweep, load_sweep
from trainables.storage import delete_tree, write_bytes


class Run:
    """What a run folder holds. Everything is computed from the journal when asked for."""

    def __init__(self, folder: Path, sweep: Sweep) -> None:
        self.folder, self.sweep = folder, sweep

    def record(self) -> Record:
        """The run's record as of now."""
        record = Record(self.sweep.metric, self.sweep.sign)
        record.replay(self.events())
        return record

    def events(self) -> Iterator[Event]:
        """What happened, in order."""
        return Journal(self.folder / "journal").read()

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


def open_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        SweepError: the folder is not a run's.
    """
    folder = Path(path)
    if not (folder / "sweep.yaml").is_file():
        raise SweepError(f"{folder}: must be the folder of a run, but it holds no sweep.yaml")
    return Run(folder, load_sweep(folder / "sweep.yaml"))


def check_new(sweep: Sweep, replace: bool) -> None:
    """A run's folder must be new, or an earlier run that may be replaced. Changes nothing.

    Raises:
        SweepError: it is neither.
    """
    folder = sweep.folder
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / "sweep.yaml").is_file():
        raise SweepError(f"name: {folder} must be free for the run, but it exists and is not the folder of a run")
    if not replace:
        raise SweepError(
            f"name: a run {sweep.name!r} must not exist yet in {sweep.storage}; choose another, give --replace, or go "
            f"on with it: halving resume {folder}"
        )


def make_folder(sweep: Sweep) -> None:
    """The run's folder with its sweep and nothing else. An earlier run in it is deleted, unless a process works on it.

    Raises:
        SweepError: the folder cannot be written, or is at work.
    """
    folder = sweep.folder
    try:
        if folder.exists():
            with RunLock(folder):
                delete_tree(folder, keep=[LOCK])
        folder.mkdir(parents=True, exist_ok=True)
        write_sweep(sweep, folder)
    except OSError as error:
        raise SweepError(f"storage: {folder} must be writable, but: {error.strerror}") from None


def write_sweep(sweep: Sweep, folder: Path) -> None:
    """Writes the resolved sweep, whole or not at all."""
    write_bytes(folder / "sweep.yaml", dump_sweep(sweep).encode())
