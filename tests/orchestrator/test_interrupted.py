"""What is shown of a run whose driver has ended before the run did."""

import os
import shlex
import subprocess
import sys

import pandas as pd
import pytest

from orchestrator.at_work import is_at_work
from orchestrator.journal import Journal
from orchestrator.lock import RunLock
from orchestrator.new_run import write_sweep
from orchestrator.record import Record
from orchestrator.run_folder import open_run
from orchestrator.show import show
from orchestrator.sweep import make_sweep
from orchestrator.tables import write_tables
from orchestrator.warm_start import earlier_observations
from tests.orchestrator.folders import make_folder


def reported(number, value):
    figures = {"epoch": number, "metrics": {"val_accuracy": value, "val_loss": 1 - value}, "seconds": 2.0}
    return {**figures, "timing": {"train": 1.0}, "node": "", "finished": False}


def begin(sweep, stop=None):
    """A run of a completed trial, one that has reported, one that runs and one that was proposed."""
    make_folder(sweep)
    ticks = iter(range(10**6, 10**7, 10))
    record = Record(sweep.metric, sweep.sign, Journal(sweep.folder / "journal"), clock=lambda: next(ticks))
    record.begin_session(3)
    for number in range(4):
        record.propose({"optimizer.lr": 0.01 * (number + 1), "model.width": 8})
    for trial in ("0001", "0002", "0003"):
        record.start(trial)
    for trial in ("0001", "0002"):
        record.report(trial, reported(1, 0.5))
    record.end("0001", "completed")
    if stop is not None:
        record.end_session(stop, searching=True)
    return record


STATUSES = ["completed", "interrupted", "interrupted", "interrupted"]


@pytest.mark.parametrize("stop", [None, "SIGINT"])
def test_trials_under_way_are_interrupted_once_no_process_works_on_the_run(tiny, stop):
    sweep = tiny()
    begin(sweep, stop)
    run = open_run(sweep.folder)
    assert not is_at_work(sweep.folder)
    assert run.trials()["status"].tolist() == STATUSES
    with RunLock(sweep.folder):
        assert is_at_work(sweep.folder)
        live = ["completed", "running", "running", "pending"]
        assert run.trials()["status"].tolist() == (live if stop is None else STATUSES)
    assert run.trials()["status"].tolist() == STATUSES


def test_the_next_session_takes_them_up(tiny):
    sweep = tiny()
    begin(sweep, "SIGTERM")
    record = open_run(sweep.folder).record()
    record.begin_session(2)
    assert {trial.status for trial in record.open.values()} == {"pending"}
    assert record.stop is None
    record.start("0003")
    assert record.trials["0003"].status == "running"


def test_all_trials_are_listed_with_one_time_and_a_command_to_paste(tiny, tmp_path, capsys):
    sweep = make_sweep({**tiny().model_dump(mode="json"), "storage": str(tmp_path / "my runs & more")})
    begin(sweep)
    show(open_run(sweep.folder))
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if line[:3] == "000"]
    assert [row[:2] for row in rows] == [[f"000{n}", status] for n, status in enumerate(STATUSES, 1)]
    assert "trials: 1 completed, 3 interrupted; elapsed 1:40 in 1 session" in text
    command = f"halving resume {shlex.quote(str(sweep.folder))}"
    assert f"interrupted (0002, 0003, 0004); continue with: {command}\n" in text
    assert shlex.split(command) == ["halving", "resume", str(sweep.folder)]


def test_the_best_come_first_and_no_more_than_asked_for(tiny, capsys):
    sweep = tiny()
    record = begin(sweep)
    record.report("0003", reported(1, 0.9))
    show(open_run(sweep.folder), count=2)
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:3] == "000"]
    assert rows == ["0003", "0001"]


def test_a_run_without_a_result_yet_lists_its_trials(tiny, capsys):
    sweep = tiny()
    make_folder(sweep)
    record = Record(sweep.metric, sweep.sign, Journal(sweep.folder / "journal"))
    record.begin_session(1)
    record.propose({"optimizer.lr": 0.01, "model.width": 8})
    show(open_run(sweep.folder))
    assert ["0001", "interrupted"] in [line.split()[:2] for line in capsys.readouterr().out.splitlines()]


def test_a_stop_while_models_are_made_says_how_to_continue(tiny, capsys):
    sweep = tiny()
    record = begin(sweep)
    for trial in ("0002", "0003", "0004"):
        record.end(trial, "stopped")
    record.add_model({"id": "m", "parent": "0001", "kind": "dense", "status": "ok", "reason": "", "source": ""})
    record.add_model({"id": "m", "loss": "", "macs": 1, "control_test": None, "val_accuracy": 0.5, "val_r2": None})
    record.add_model({"id": "m", "test_accuracy": 0.5, "test_r2": None, "latency_1_median_ms": 1.0})
    record.end_session("SIGTERM", searching=False)
    show(open_run(sweep.folder))
    assert f"stopped (SIGTERM); continue with: halving resume {sweep.folder}\n" in capsys.readouterr().out


def test_a_finished_run_needs_no_command(tiny, capsys):
    sweep = tiny()
    record = begin(sweep)
    for trial in ("0002", "0003", "0004"):
        record.end(trial, "completed")
    record.end_session("", searching=False)
    show(open_run(sweep.folder))
    assert "continue with" not in capsys.readouterr().out


def test_the_time_is_of_the_whole_run_its_students_included(tiny):
    """Their search has a journal of its own, inside a session of the run's; two journals may end anywhere."""
    sweep = tiny()
    begin(sweep)
    assert open_run(sweep.folder).elapsed() == 100
    students = make_sweep(
        {
            **sweep.model_dump(mode="json"),
            "name": "student",
            "storage": str(sweep.folder / "students"),
            "space": {"parameters": {"parent": "0001"}},
            "search": {"name": "grid"},
            "asha": None,
            "train": {"student": {}, "run": str(sweep.folder), "parents": ["0001"], "against": "macs"},
        }
    )
    make_folder(students)
    write_sweep(students, students.folder)
    now = [10**6 + 100.0]
    record = Record("val_accuracy", -1.0, Journal(students.folder / "journal"), clock=lambda: now[0])
    record.begin_session(1)
    record.propose({"parent": "0001"})
    now[0] += 500
    record.start("0001")
    run = open_run(sweep.folder)
    assert run.elapsed() == 600
    assert run.student_runs()["student"].trials()["status"].tolist() == ["interrupted"]
    with RunLock(sweep.folder):
        assert run.student_runs()["student"].trials()["status"].tolist() == ["running"]


def test_a_table_of_an_interrupted_run_is_a_warm_start_of_what_was_reported(tiny):
    sweep = tiny()
    begin(sweep)
    write_tables(open_run(sweep.folder).record(), sweep.folder)
    assert pd.read_parquet(sweep.folder / "trials.parquet")["status"].tolist() == STATUSES
    seen = earlier_observations([str(sweep.folder / "trials.parquet")], tiny(name="next"))
    assert [shown.config["optimizer.lr"] for shown in seen] == [0.01, 0.02]


def test_a_process_that_looks_does_not_keep_the_lock_from_one_that_wants_it(tiny):
    sweep = tiny()
    begin(sweep)
    looks = f"while True: is_at_work({str(sweep.folder)!r})"
    looking = subprocess.Popen(
        [sys.executable, "-c", f"from orchestrator.at_work import is_at_work\nprint('ready', flush=True)\n{looks}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    try:
        assert looking.stdout.readline() == b"ready\n"
        for _ in range(200):
            with RunLock(sweep.folder):
                pass
    finally:
        looking.kill()
        looking.wait()
