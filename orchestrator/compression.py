"""The post-stage: students of the best trials are searched for, models are made of them, and all are timed in quiet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray

from orchestrator.analysis import front
from orchestrator.data_fit import check_students
from orchestrator.errors import SweepError, TimingFailed
from orchestrator.journal import SessionJournal
from orchestrator.layout import CHECKPOINTS, JOURNAL
from orchestrator.model_files import fault_of_model, upload_models
from orchestrator.new_run import write_sweep
from orchestrator.progress import Progress
from orchestrator.record import Record, Trial
from orchestrator.remote_errors import as_remote, text_of_errors
from orchestrator.run_folder import load_run_sweep, write_plan
from orchestrator.search import Session, end_session, search
from orchestrator.signals import Halt
from orchestrator.stage import StageConfig, is_control
from orchestrator.students import chosen, control_of, student_searcher, student_sweep
from orchestrator.sweep import Sweep
from orchestrator.tables import models_table, write_tables
from orchestrator.whole import replayed
from search_spaces import same, shorten
from trainables import Dataset, load_data
from trainables.checkpoint import CheckpointError, load_last
from trainables.claim import Claim
from trainables.compress import (
    ArtefactError,
    CompressedModel,
    Latency,
    Parent,
    StudentTask,
    Timed,
    dense_id,
    export_dense,
    export_student,
    load,
    load_student,
    measure_calls,
    student_row,
)
from trainables.storage import Place, absolute, exists, join, local_copy
from trainables.worker import CHECKPOINT, load_best

MODELS = "models"
"""The folder of a run in which each model has one."""
FRONT = "front.png"
"""The plot of all of a run's models."""


def compress_best(sweep: Sweep, stage: StageConfig, record: Record, folder: Place, session: Session) -> None:
    """Compresses the best trials as the stage says; every model goes into the record when it is done.

    What the record has is not made again, and students go on where they were. A candidate that fails is recorded as
    such, and the others go on.

    Raises:
        SweepError: checkpoints of parents are gone, or students of that name were made in another way.
        Halt: the run has been asked to stop, its storage fails, or models cannot be timed.
    """
    best = record.best_over(stage.best)
    parents = [trial.id for trial in best]
    if not parents:
        return
    _check_parents(parents, record, folder)
    students = student_sweep(sweep, stage, parents, folder)
    _check_same(students)
    made = _search_students(students, stage, session) if stage.students_wanted else Record(students.metric, 1.0)
    for row in _failures(students, stage, made):
        if row.id not in record.models:
            record.add_model(asdict(row))
    with Progress(sweep, record, session.elapsed, quiet=session.quiet):
        _make_models(sweep, list(_candidates(parents, stage, students, made)), record, folder, session)
        data = load_data(sweep.train_config(best[0].config).data)
        _time_models(sweep, record, folder, data.input_shape, session)
    session.lock.check()
    _plot_front(record, folder)


def check_stage(sweep: Sweep, stage: StageConfig, data: Dataset, folder: Place, parents: int) -> None:
    """Raises SweepError where the stage asks for what cannot be, in the run of that folder or in a new one there.

    parents: how many trials it will have.
    """
    students = student_sweep(sweep, stage, [f"{number + 1:04d}" for number in range(max(1, parents))], folder)
    students.check()
    check_students(sweep, students, data)
    _check_same(students)


@dataclass(frozen=True)
class Candidate:
    """A model to make: of a trial as it is, or, where `student` names the folder of one, of that student."""

    row: CompressedModel
    int8: bool
    student: str = ""
    control: str = ""


def make_models(candidate: Candidate, folder: str, claim: Claim) -> list[dict[str, Any]]:
    """Makes a model in `models/<id>` of the run's folder, and its int8 model there if it is to have one.

    Their rows, the model's own first, with `path` inside the run's folder.
    """
    row = candidate.row
    with TemporaryDirectory() as scratch:
        here = Path(scratch)
        if candidate.student:
            load = partial(load_student, run=folder, name=row.student)
            student = load(candidate.student)
            control = load(candidate.control).model if candidate.control else None
            data = load_data(student.parent.train.data)
            made = export_student(student, data, here, control, int8=candidate.int8)
        else:
            model, train = load_best(join(folder, CHECKPOINTS, row.parent, CHECKPOINT))
            made = export_dense(Parent(model, train, row.parent), load_data(train.data), here, int8=candidate.int8)
        claim.check()
        upload_models(here, join(folder, MODELS))
        return [{**asdict(one), "path": _inside(one.path, here)} for one in made]


def latencies(places: list[str], input_shape: tuple[int, ...]) -> tuple[list[Latency], dict[str, str]]:
    """Times models anywhere, side by side: each row's `path` is its model's place. And why others cannot be loaded."""
    models: list[Timed] = []
    faults: dict[str, str] = {}
    with ExitStack() as stack:
        for place in places:
            path = stack.enter_context(local_copy(place))
            try:
                models.append(Timed(place, load(path), input_shape))
            except ArtefactError as error:
                faults[place] = str(error)
        return (measure_calls(models) if models else []), faults


def _check_parents(parents: list[str], record: Record, folder: Place) -> None:
    """Raises SweepError if a parent has no checkpoint. One that is damaged, or older than the last, is noted."""
    for number, trial in enumerate(parents):
        try:
            saved, note = load_last(join(folder, CHECKPOINTS, trial, CHECKPOINT))
        except CheckpointError as error:
            record.note(f"{error}; models of this trial are rejected", trial)
            continue
        if saved is None:
            rule = f"may be up to {number}, since of trial {trial} there is no checkpoint in {folder}"
            raise SweepError(f"compress.best: {rule}; keep_checkpoints keeps more, but got {len(parents)}")
        if note:
            record.note(note, trial)


def _search_students(students: Sweep, stage: StageConfig, session: Session) -> Record:
    """Trains the students that the stage asks for and their controls; what their run's record has then."""
    folder = students.folder
    write_sweep(students, folder)
    write_plan(stage, folder)
    journal = SessionJournal(join(folder, JOURNAL), session.lock.check)
    record = Record(students.metric, students.sign, journal)
    try:
        events = replayed(journal, record, folder)
        search(students, folder, record, events, session, student_searcher(students, stage, lambda: bool(record.limit)))
        end_session(record, "", searching=False)
        write_tables(record, folder, session.lock.check)
    except Halt as halt:
        end_session(record, str(halt.reason), searching=True)
        raise
    finally:
        journal.close()
    return record


def _check_same(students: Sweep) -> None:
    """Students of one name are made alike, apart from what varies among them."""
    before = load_run_sweep(students.folder)
    if not before:
        return
    old, new = _shared(before), _shared(students)
    for name, value in new.items():
        if not same(old.get(name), value):
            rule = f"must stay {shorten(old.get(name))} for students of the name {students.name!r}"
            raise SweepError(f"compress.{name}: {rule}, but got {shorten(value)}; give others another compress.name")


def _shared(students: Sweep) -> dict[str, Any]:
    """What all students share, by dotted names."""
    own = {f"student.{name}": value for name, value in students.train["student"].items()}
    return {**own, "against": students.train["against"]}


def _candidates(parents: list[str], stage: StageConfig, students: Sweep, made: Record) -> Iterator[Candidate]:
    for trial in parents:
        row = CompressedModel(id=dense_id(trial), parent=trial, kind="dense", status="ok")
        yield Candidate(row, stage.int8)
    for student in chosen(made, stage):
        control = control_of(made, student)
        places = [str(absolute(join(students.folder, CHECKPOINTS, one.id))) for one in (student, control) if one]
        yield Candidate(_row(students, stage, student), stage.int8, *places)


def _failures(students: Sweep, stage: StageConfig, made: Record) -> Iterator[CompressedModel]:
    """The students that could not be made, with the reason."""
    for trial in made.trials.values():
        if trial.status == "failed" and not is_control(trial.config):
            yield replace(_row(students, stage, trial), status="rejected", reason=trial.error)


def _row(students: Sweep, stage: StageConfig, trial: Trial) -> CompressedModel:
    task = StudentTask.of(students.train, trial.config)
    return student_row(task.parent, f"{stage.name}-{trial.id}", task.student)


def _make_models(sweep: Sweep, candidates: list[Candidate], record: Record, folder: Place, session: Session) -> None:
    """Each candidate that the record has no model of is a task on the cluster."""
    make = text_of_errors(session.code.around(make_models))
    task = ray.remote(num_cpus=sweep.workers.cpus, num_gpus=sweep.workers.gpus, max_retries=1)(make)
    missing = [candidate for candidate in candidates if not _is_made(candidate, record, folder)]
    running = {task.remote(candidate, str(absolute(folder)), session.lock.claim): candidate for candidate in missing}
    while running:
        session.request.check()
        for done in ray.wait(list(running), num_returns=1, timeout=0.5)[0]:
            # Last that by whose id one sees that the candidate is done.
            for row in reversed(_rows(done, running.pop(done))):
                record.add_model(row)


def _is_made(candidate: Candidate, record: Record, folder: Place) -> bool:
    """Whether its model is there, or cannot be; not if it failed for another reason, or a file is gone or damaged."""
    row = record.models.get(candidate.row.id)
    if row is None or row["status"] == "failed":
        return False
    fault = fault_of_model(join(folder, str(Path(row["path"]).parent))) if row.get("path") else ""
    if fault:
        record.note(f"{fault}; the model is made again", candidate.row.parent)
    return not fault


def _rows(done: Any, candidate: Candidate) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = _result(done)
    except ray.exceptions.RayError as error:
        remote = as_remote(error)
        kind = "rejected" if remote.damaged else "failed"
        return [{**asdict(candidate.row), "status": kind, "reason": str(remote)}]
    return rows


def _result(done: Any) -> Any:
    """What a task returns. Raises Halt if the run's storage failed in it, RayError for anything else."""
    try:
        return ray.get(done)
    except ray.exceptions.RayError as error:
        if reason := as_remote(error).reason:
            raise Halt(reason) from None
        raise


def _inside(path: str | None, folder: Path) -> str | None:
    return str(Path(MODELS, Path(path).relative_to(folder))) if path else None


def _plot_front(record: Record, folder: Place) -> None:
    from orchestrator.plots import plot_front, save_plot  # matplotlib takes a second to import

    models = models_table(record)
    if not front(models).empty:
        save_plot(plot_front(models), join(folder, FRONT))


def _time_models(sweep: Sweep, record: Record, folder: Place, input_shape: tuple[int, ...], session: Session) -> None:
    """Measures latency with nothing else of the run at work, parents and children in turn; files that cannot be loaded
    cost their own models only."""
    rows = [row for row in record.models.values() if row.get("path") and exists(join(folder, row["path"]))]
    if all("latency_1_median_ms" in row for row in rows):
        return
    task = ray.remote(num_cpus=sweep.workers.cpus)(text_of_errors(session.code.around(latencies)))
    models = {str(absolute(join(folder, row["path"]))): row["id"] for row in rows}
    timings, faults = _timings(task.remote(list(models), input_shape), session)
    for place, reason in faults.items():
        record.add_model({"id": models[place], "status": "rejected", "reason": reason})
    figures: dict[str, dict[str, Any]] = {}
    for timed in timings:
        columns = figures.setdefault(models[timed.path], {})
        for name in ("median", "p10", "p90"):
            columns[f"latency_{timed.batch}_{name}_ms"] = getattr(timed, f"{name}_ms")
    for model, columns in figures.items():
        record.add_model({"id": model, **columns})


def _timings(task: Any, session: Session) -> tuple[list[Latency], dict[str, str]]:
    """What `latencies` returns. Raises Halt if it fails, or the run is to stop meanwhile."""
    while not ray.wait([task], timeout=0.5)[0]:
        session.request.check()
    try:
        timed: tuple[list[Latency], dict[str, str]] = _result(task)
    except ray.exceptions.RayError as error:
        raise Halt(TimingFailed(f"latency cannot be measured: {as_remote(error)}")) from None
    return timed
