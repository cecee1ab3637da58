"""A student as a trial: what it is made from comes from a run's folder, and it goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables import SettingError, StudentError, TrainConfig, Worker, load_data
from trainables.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from trainables.compress import StudentTask, StudentWorker, cost, load_student

BASE: dict[str, Any] = {"parents": ["0002", "0001"], "student": {"keep_macs": 0.5, "epochs": 3}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with two trained parents of different widths."""
    folder = tmp_path_factory.mktemp("run")
    for trial, width in (("0001", 32), ("0002", 24)):
        train = TrainConfig.of({"model": {"name": "mlp", "width": width}, "epochs": 3})
        worker = Worker()
        worker.begin(train.model_dump(mode="json"), str(folder / "checkpoints" / trial))
        while not worker.finished:
            worker.epoch()
    return folder


def task(run: Path, **overrides: Any) -> StudentTask:
    return StudentTask.of({**BASE, "run": str(run)}, {"parent": "0001", **overrides})


def trained(work: StudentTask, folder: Path, epochs: int = 99, known: int = 0) -> list[dict[str, Any]]:
    """What a worker reports of so many epochs."""
    worker = StudentWorker()
    worker.begin(work.model_dump(mode="json"), str(folder), known, range(1, 9))
    reports = []
    while not worker.finished and len(reports) < epochs:
        reports.append(worker.epoch())
    return reports


def timeless(report: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in report.items() if key not in ("timing", "seconds")}
    return {**kept, "metrics": {**report["metrics"], "images_per_second": 0.0}}


def test_values_of_a_trial_are_laid_over_the_students_settings() -> None:
    made = StudentTask.of({**BASE, "run": "r"}, {"parent": "0001", "keep_macs": 0.3, "loss": "dkd", "epochs": 7})
    assert (made.parent, made.student.keep_macs, made.student.loss, made.epochs) == ("0001", 0.3, "dkd", 7)
    control = StudentTask.of({**BASE, "run": "r"}, {"parent": "0001", "loss": "dkd", "control": True})
    assert control.student == made.student.model_copy(update={"keep_macs": 0.5, "loss": "cross_entropy", "epochs": 3})


@pytest.mark.parametrize("wrong", [{"keep_mac": 0.5}, {"epochs": 0}, {"parent": 3}, {"loss": "mse"}])
def test_a_task_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        StudentTask.of({**BASE, "run": "r"}, wrong)


def test_epochs_tell_what_the_student_costs_beside_the_best_parent(run: Path, tmp_path: Path) -> None:
    reports = trained(task(run), tmp_path)
    student = load_student(tmp_path, run, "one")
    best = task(run).make_parent("0002")
    data = load_data(best.train.data)
    size, whole = cost(student.model, data.input_shape), cost(best.model, data.input_shape)
    assert [(r["cost"]["macs"], r["cost"]["parameters"]) for r in reports] == [(size.macs, size.parameters)] * 3
    assert reports[0]["cost"]["share"] == pytest.approx(size.macs / whole.macs)
    assert [epoch["val_loss"] for epoch in student.epochs] == [report["metrics"]["val_loss"] for report in reports]
    assert (student.name, student.parent.trial) == ("one", "0001")


def test_a_student_that_was_interrupted_ends_as_one_that_was_not(run: Path, tmp_path: Path) -> None:
    work = task(run, teachers=2, steps=2)
    whole = trained(work, tmp_path / "whole")
    first = trained(work, tmp_path / "torn", epochs=2)
    rest = trained(work, tmp_path / "torn", known=2)
    for one, other in zip(whole, [*first, *rest], strict=True):
        assert timeless(one) == timeless(other)
    models = [load_student(tmp_path / name, run, name).model.state_dict() for name in ("whole", "torn")]
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())


def test_other_best_trials_do_not_disturb_a_student_but_other_teachers_do(run: Path, tmp_path: Path) -> None:
    other = {"run": str(run), **BASE, "parents": ["0001", "0002"]}
    trained(task(run), tmp_path / "alone", epochs=1)
    assert len(trained(StudentTask.of(other, {"parent": "0001"}), tmp_path / "alone", known=1)) == 2
    trained(task(run, teachers=1), tmp_path / "taught", epochs=1)
    with pytest.raises(CheckpointError, match="made with another parents"):
        trained(StudentTask.of(other, {"parent": "0001", "teachers": 1}), tmp_path / "taught")


def test_more_teachers_than_there_are_is_an_error_of_the_student(run: Path, tmp_path: Path) -> None:
    with pytest.raises(StudentError, match="teachers: must be at most the trials to learn from, 2, got 3"):
        trained(task(run, teachers=3), tmp_path)


def test_a_student_of_a_damaged_parent_is_an_error_that_names_the_file(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "0001" / "last.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"0001/last\.pt is not a whole checkpoint"):
        trained(task(tmp_path), tmp_path / "student")


def test_a_parent_of_another_version_is_an_error_that_names_it(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "0001" / "last.pt"
    saved = load_checkpoint(run / "checkpoints" / "0001" / "last.pt")
    save_checkpoint(path, {**saved, "version": 1})
    with pytest.raises(CheckpointError, match=r"0001/last\.pt has version 1, but this program reads"):
        trained(task(tmp_path), tmp_path / "student")
