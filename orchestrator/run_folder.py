"""A run on a disk or in a store, for reading: its tables as DataFrames, while it goes on or after."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from orchestrator import analysis, tables
from orchestrator.at_work import is_at_work
from orchestrator.errors import SweepError
from orchestrator.events import Event
from orchestrator.journal import Journal
from orchestrator.layout import CHECKPOINTS, JOURNAL, SWEEP
from orchestrator.new_run import is_being_replaced
from orchestrator.picking import Pick, pick
from orchestrator.record import Record
from orchestrator.stage import StageConfig, load_stage
from orchestrator.sweep import Sweep, load_sweep
from orchestrator.time_spent import union
from orchestrator.trial_log import read_log
from orchestrator.whole import Parts
from search_spaces import to_yaml
from trainables.checkpoint import load_checkpoint
from trainables.loop.trial import BEST, CHECKPOINT
from trainables.storage import Place, children, exists, join, write_bytes

_PLAN = "plan.yaml"
"""Beside the sweep of students: the post-stage that wanted them."""
STUDENTS = "students"
"""In it is a run for each post-stage, by its name: the search for its students."""


class Run:
    """What a run folder holds. Everything is computed from the journal when asked for."""

    def __init__(self, folder: Place, sweep: Sweep, notes: Sequence[str] = ()) -> None:
        self.folder, self.sweep = folder, sweep
        self._notes = notes

    def record(self) -> Record:
        """The run's record as of now; its open trials are interrupted where no process works on it.

        Raises SweepError if the journal is damaged, or a part of it is missing.
        """
        journal, record = Journal(join(self.folder, JOURNAL)), Record(self.sweep.metric, self.sweep.sign)
        parts = Parts.of(self.folder)
        record.replay(journal.read())
        parts.check(record)
        record.notes += [*self._notes, *journal.notes]
        if record.open and (record.stop is not None or not is_at_work(self._owner)):
            record.mark_interrupted()
        return record

    @property
    def _owner(self) -> Place:
        """The folder that a process at work has locked: for students that of the run that their parents are of."""
        return str(self.sweep.train["run"]) if self.sweep.trains_students else self.folder

    def events(self) -> Iterator[Event]:
        """What happened, in order."""
        return Journal(join(self.folder, JOURNAL)).read()

    def log(self, trial: str) -> str:
        """All that is kept of what a trial's processes printed, and of how its attempts failed.

        Control characters are escaped, and colours left out. Raises SweepError if there is no such trial.
        """
        known = self.record().trials
        name = trial.zfill(4)
        if name not in known:
            which = f"one of the {len(known)} trials of {self.folder}, such as {next(iter(known))}" if known else ""
            raise SweepError(
                f"trial: must be {which or f'a trial of {self.folder}, which has none'}, but got {trial!r}"
            )
        return read_log(self.folder, name)

    def checkpoint(self, trial: str, *, last: bool = False) -> dict[str, Any]:
        """The state that a trial's own loop has saved at its best report, tensors on the CPU; with `last` at its last.

        Read as data, never as code. Raises SweepError if there is none; only `keep_checkpoints` of the best are kept.
        """
        folder = join(self.folder, CHECKPOINTS, trial.zfill(4))
        place = join(folder, CHECKPOINT if last or not exists(join(folder, BEST)) else BEST)
        if not self.sweep.has_own_loop or not exists(place):
            raise SweepError(
                f"trial: must have saved a state by a loop of its own, and have kept it, but got {trial!r}"
            )
        state: dict[str, Any] = load_checkpoint(place)["state"]
        return state

    def trials(self) -> pd.DataFrame:
        """A row a trial; see `orchestrator.tables.trials_table`."""
        return tables.trials_table(self.record(), self.folder)

    def epochs(self) -> pd.DataFrame:
        """A row a trial and epoch."""
        return tables.epochs_table(self.record())

    def models(self) -> pd.DataFrame:
        """A row a model of the post-stage."""
        return tables.models_table(self.record())

    def students(self, name: str = "student") -> pd.DataFrame:
        """A row a student of the stage of that name, controls and those that ASHA stopped among them.

        As `trials`, with `config.parent` and, of controls, `config.control`; the metrics have macs, parameters and
        share, the fraction of the best parent's cost. None before the stage has begun.
        """
        folder = join(self.folder, STUDENTS, name)
        sweep = load_run_sweep(folder)
        return Run(folder, sweep).trials() if sweep else tables.trials_table(Record(self.sweep.metric, 1.0))

    def front(self) -> pd.DataFrame:
        """The models that no other beats in both accuracy and latency; see `orchestrator.analysis.front`."""
        return analysis.front(self.models())

    def pick(self, name: str | None = None) -> Pick | None:
        """The model that the bounds of the stage of that name pick, or of the sweep's own; see `picking.pick`.

        Raises SweepError if there is no stage of that name.
        """
        stages = self.stages()
        if name is not None and name not in stages:
            raise SweepError(f"name: must be a post-stage of {self.folder}, one of {', '.join(stages)}, got {name!r}")
        stage = self.sweep.compress if name is None else stages[name]
        return pick(self.models(), stage.bounds if stage else {})

    def stages(self) -> dict[str, StageConfig]:
        """The run's post-stages by name: the sweep's own, and those of plans that have students."""
        own = {self.sweep.compress.name: self.sweep.compress} if self.sweep.compress else {}
        folders = (join(self.folder, STUDENTS, name) for name in children(join(self.folder, STUDENTS)))
        plans = (load_stage(join(folder, _PLAN)) for folder in folders if exists(join(folder, _PLAN)))
        return {**{stage.name: stage for stage in plans}, **own}

    def student_runs(self) -> dict[str, Run]:
        """The searches for students, by the names of their stages: runs of their own inside this one."""
        folders = {name: join(self.folder, STUDENTS, name) for name in children(join(self.folder, STUDENTS))}
        return {name: Run(place, sweep) for name, place in folders.items() if (sweep := load_run_sweep(place))}

    def elapsed(self, record: Record | None = None) -> float:
        """Seconds of all sessions of the run, its searches for students included.

        record: the run's own, if there is one already.
        """
        records = [record or self.record(), *(run.record() for run in self.student_runs().values())]
        return union(span for one in records for span in one.time.sessions)

    def efficiency(self) -> pd.Series:
        """Where the workers' time went; see `orchestrator.analysis.efficiency`."""
        return analysis.efficiency(self.record())

    def best(self, count: int = 1) -> pd.DataFrame:
        """The `count` best trials, best first."""
        return analysis.best(self.trials(), self.sweep.metric, self.sweep.mode, count)

    def configs(self) -> pd.DataFrame:
        """A row a configuration, over its repeats; see `orchestrator.analysis.configurations`."""
        return analysis.configurations(self.trials(), self.sweep.metric, self.sweep.mode)


def command_for(verb: str, folder: Place) -> str:
    """The command on a run as it can be pasted into a shell."""
    return f"halving {verb} {shlex.quote(str(folder))}"


def open_run(path: Place) -> Run:
    """The run in a folder, or at a URI.

    Raises:
        SweepError: the folder is not a run's, or a part is missing that nothing else in it can replace.
        StorageError, StoreError: there is no such store, or it does not answer.
    """
    folder = join(path)
    if is_being_replaced(folder):
        rule = "its earlier run was being deleted when that was broken off; run the new sweep again"
        raise SweepError(f"{folder}: must be the folder of a run, but {rule} with --replace")
    sweep = load_run_sweep(folder)
    if sweep is not None:
        return Run(folder, sweep)
    if not Journal(join(folder, JOURNAL)).paths():
        raise SweepError(f"{folder}: must be the folder of a run, but it holds no {SWEEP}")
    return Run(folder, _sweep_of_journal(folder), [f"{folder}: {SWEEP} is missing; its journal has the sweep"])


def load_run_sweep(folder: Place) -> Sweep | None:
    """The sweep of the run in a folder; None if there is no run."""
    return load_sweep(join(folder, SWEEP), written=True) if is_run(folder) else None


def is_run(folder: Place) -> bool:
    """Whether there is a run in the folder."""
    return exists(join(folder, SWEEP))


def _sweep_of_journal(folder: Place) -> Sweep:
    """The sweep that the last process to work on the run had, where sweep.yaml is missing."""
    sessions = (event for event in Journal(join(folder, JOURNAL)).read() if event.get("event") == "session")
    values = [event["sweep"] for event in sessions if "sweep" in event]
    if not values:
        raise SweepError(f"{folder}: {SWEEP} is missing, and its journal is of a version that did not keep the sweep")
    with TemporaryDirectory() as scratch:
        copy = Path(scratch, SWEEP)
        copy.write_text(values[-1], encoding="utf-8")
        return load_sweep(copy, written=True)


def write_plan(stage: StageConfig, folder: Place) -> None:
    """Writes the stage that wants the students in that folder, whole or not at all."""
    write_bytes(join(folder, _PLAN), to_yaml(stage.model_dump()).encode())
