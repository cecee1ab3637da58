"""A run on disk, for reading: its tables as DataFrames, while it goes on or after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from orchestrator import analysis, tables
from orchestrator.errors import SweepError
from orchestrator.journal import Event, Journal
from orchestrator.record import Record
from orchestrator.sweep import Sweep, load_sweep


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

    def best(self, count: int = 1) -> pd.DataFrame:
        """The `count` best trials, best first."""
        return analysis.best(self.trials(), self.sweep.metric, self.sweep.mode, count)


def open_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        SweepError: the folder is not a run's.
    """
    folder = Path(path)
    if not (folder / "sweep.yaml").is_file():
        raise SweepError(f"{folder}: must be the folder of a run, but it holds no sweep.yaml")
    return Run(folder, load_sweep(folder / "sweep.yaml"))
