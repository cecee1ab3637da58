"""Where a run's modules and relative files are, from wherever it is started, resumed or moved to."""

from __future__ import annotations

import os
import sys

import pytest

from orchestrator.user_code import UserCode


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder with a sweep's folder in it; this process is at work in the first."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "project" / "sweeps").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def session(code):
    return {"event": "session", "slots": 1, "code": code.to_dict()}


def test_a_run_looks_where_it_was_started_and_beside_its_sweep(project):
    code = UserCode.here("runs/mine", "sweeps")
    assert code.start == str(project)
    assert code.folders[:2] == (str(project), str(project / "sweeps"))
    assert code.run == str(project / "runs" / "mine")
    assert UserCode.here("s3://bucket/runs/mine").run == ""
    assert UserCode.of(code.to_dict()) == code


def test_a_run_that_is_resumed_from_elsewhere_looks_where_it_was_started(project, tmp_path, monkeypatch):
    first = UserCode.here("runs/mine", "sweeps")
    monkeypatch.chdir(tmp_path)
    again = UserCode.of_run(project / "runs" / "mine", iter([session(first)]))
    assert again.start == first.start
    assert again.folders[: len(first.folders)] == first.folders
    assert str(tmp_path) in again.folders


def test_a_project_that_was_moved_is_looked_up_beside_its_run(project, tmp_path, monkeypatch):
    first = UserCode.here("runs/mine", "sweeps")
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / "moved")
    again = UserCode.of_run(tmp_path / "moved" / "runs" / "mine", [session(first)])
    assert again.start == str(tmp_path / "moved")
    assert again.folders[:2] == (str(tmp_path / "moved"), str(tmp_path / "moved" / "sweeps"))


def test_folders_that_are_gone_leave_those_of_now(project, tmp_path, monkeypatch):
    first = UserCode.here("s3://bucket/runs/mine")
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / "moved")
    again = UserCode.of_run("s3://bucket/runs/mine", [session(first)])
    assert again.start == str(tmp_path)
    assert str(project) not in again.folders


def test_a_run_of_an_earlier_version_looks_in_the_folders_of_now(project):
    events = [{"event": "session", "slots": 1}, {"event": "limit", "reason": "x"}]
    assert UserCode.of_run("runs/mine", events) == UserCode.here("runs/mine")


def test_a_task_runs_where_its_run_was_started(project, tmp_path, monkeypatch):
    code = UserCode.here("runs/mine", "sweeps")
    monkeypatch.chdir(tmp_path)
    assert code.around(os.getcwd)() == str(project)
    assert str(project / "sweeps") == sys.path[-1]


def test_a_task_on_a_machine_without_the_folder_runs_all_the_same(project, tmp_path):
    code = UserCode(str(tmp_path / "nowhere"), (str(tmp_path / "nowhere"),))
    assert code.around(os.getcwd)() == str(project)
