"""What a person reads of a run, here of runs whose journals are written by hand."""

from __future__ import annotations

import pytest

from orchestrator.journal import Journal
from orchestrator.new_run import write_sweep
from orchestrator.picking import pick
from orchestrator.record import Record
from orchestrator.run_folder import open_run, write_plan
from orchestrator.searchers import GridSearcher
from orchestrator.show import show
from orchestrator.stage import StageConfig
from orchestrator.students import student_sweep
from orchestrator.trial_log import TrialLog, log_place
from tests.orchestrator.folders import make_folder


@pytest.fixture
def small(tiny):
    """A sweep over four configurations, with more trials than that."""
    space = {"parameters": {"optimizer.lr": {"choice": [0.01, 0.1]}, "model.width": {"grid": [8, 16]}}}
    return tiny(space=space, search={"name": "bayes", "trials": 30})


def shown_after(sweep, trials: int, capsys) -> str:
    make_folder(sweep)
    record = Record(sweep.metric, sweep.sign, Journal(sweep.folder / "journal"))
    record.begin_session(1)
    for _ in range(trials):
        config = GridSearcher(sweep.space).suggest(record.observations(), record.pending())
        trial = record.propose(config).id
        report = {"epoch": 1, "metrics": {"val_accuracy": 0.5, "val_loss": 1.0}, "seconds": 2.0}
        timing = dict.fromkeys(("data", "build", "train", "evaluate", "checkpoint"), 0.1)
        record.report(trial, {**report, "timing": timing, "node": "", "finished": True})
        record.end(trial, "completed")
    show(open_run(sweep.folder))
    return capsys.readouterr().out


@pytest.mark.parametrize(("trials", "exhausted"), [(3, False), (4, True)])
def test_a_space_of_which_nothing_is_left_is_said_to_be_exhausted(small, capsys, trials, exhausted):
    text = shown_after(small, trials, capsys)
    assert ("the space is exhausted: all of its 4 configurations were tried" in text) == exhausted


def test_values_are_shown_as_they_are(tiny, capsys):
    values = {"a": None, "b": True, "c": [16, 32], "d": "[bold]x[/bold]", "e": 0.5}
    parameters = {name: {"constant": value} for name, value in values.items()}
    train = {"loop": "my:loop"}
    changes = {"metric": "val_accuracy", "train": train, "search": {"name": "grid"}}
    text = shown_after(tiny(space={"parameters": parameters}, **changes), 1, capsys)
    told = dict(line.split(maxsplit=1) for line in text.splitlines() if line[:1] in values and line[1:2] == " ")
    assert {name: told[name].strip() for name in values} == {
        **{"a": "null", "b": "true", "c": "[16, 32]"},
        **{"d": "[bold]x[/bold]", "e": "0.5"},
    }


def test_no_more_trials_are_promised_than_the_space_has(small):
    assert small.most_trials == 4


def model(name: str, kind: str, **figures: object) -> dict[str, object]:
    scores = {"val_accuracy": 0.98123, "test_accuracy": 0.98123, "control_test": 0.97}
    times = {"latency_1_median_ms": 12.345, "latency_32_median_ms": 123.456}
    row = {"id": name, "parent": "0001", "kind": kind, "status": "ok", "reason": "", "source": "", "loss": ""}
    return {**row, **scores, **times, "val_r2": None, "test_r2": None, "macs": 123456789, "bytes": 1234567, **figures}


@pytest.fixture
def compressed(small):
    """A run with models and a search for students that ended early, under the name of a plan's file."""
    make_folder(small)
    record = Record(small.metric, small.sign, Journal(small.folder / "journal"))
    record.begin_session(1)
    record.add_model(model("0001-dense", "dense"))
    for name in ("0001-student-0001", "0001-quite-a-long-name-of-a-plan-0001"):
        record.add_model(model(name, "pruned", loss="logit_standard"))
        record.add_model(model(f"{name}-int8", "int8", loss="logit_standard", source=name))
    stage = StageConfig.model_validate({"name": "tiny", "best": 1, "keep_macs": [0.5, 0.3], "max_bytes": 5})
    students = student_sweep(small, stage, ["0001"], small.folder)
    write_sweep(students, students.folder)
    write_plan(stage, students.folder)
    record = Record(students.metric, students.sign, Journal(students.folder / "journal"))
    record.begin_session(1)
    for keep in (0.5, 0.3):
        record.end(record.propose({"parent": "0001", "keep_macs": keep}).id, "stopped")
    record.reach_limit("0.5 minutes have passed")
    return open_run(small.folder)


def test_no_figure_is_cut_however_long_names_are(compressed, capsys):
    show(compressed)
    text = capsys.readouterr().out
    table = text[: text.index("\nfront")]
    assert "…" not in text
    assert max(len(line) for line in table.splitlines()) <= 120
    assert table.count("123.456") == 5


def test_students_without_a_model_and_what_their_search_ended_by_are_told(compressed, capsys):
    show(compressed)
    text = capsys.readouterr().out
    assert "students tiny: 2 stopped; in " in text
    assert "the search for students tiny ended early: 0.5 minutes have passed" in text


def test_a_plan_that_is_done_still_picks(compressed, capsys):
    show(compressed)
    text = capsys.readouterr().out
    assert "max_bytes 5: no model meets this; the closest is 0001-" in text
    assert ": 0.00 points below the best parent, 12.3 ms, 1234567 bytes" in text
    assert not compressed.pick("tiny").meets


def test_failures_are_shown_once_an_error_with_the_last_lines_before(small, capsys):
    make_folder(small)
    record = Record(small.metric, small.sign, Journal(small.folder / "journal"))
    record.begin_session(1)
    ended = "the process ended; see logs/{}.log"
    for number, error in enumerate(("KeyError: 1", ended.format("0002"), ended.format("0003"))):
        trial = record.propose({"optimizer.lr": 0.01, "model.width": number}).id
        printed = f"epoch 1\nepoch {trial}\nstep 1\rstep 2\r\n\x1b[31mlast\x1b[0m ключ\n"
        log = TrialLog(log_place(small.folder, trial))
        log.append(f"{printed}=== the attempt failed: {error} ===\nTraceback\n")
        record.end(trial, "failed", error)
    show(open_run(small.folder))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    first = lines.index("1 failed (0001): KeyError: 1")
    assert lines[first + 1 : first + 4] == ["  | epoch 0001", "  | step 2", "  | last ключ"]
    assert lines[first + 4 : first + 6] == ["2 failed (0002, 0003): the process ended", "  | epoch 0002"]
    assert f"tracebacks and output are in the logs: halving logs {small.folder} 0001" in lines


@pytest.mark.parametrize("timed", [False, True])
def test_models_that_are_all_rejected_are_shown_with_the_reasons(small, capsys, timed):
    make_folder(small)
    record = Record(small.metric, small.sign, Journal(small.folder / "journal"))
    record.begin_session(1)
    for number in range(2):
        parent = f"000{number}"
        row = model(f"{parent}-dense", "dense", parent=parent, status="rejected", reason=f"reason {number}")
        figures = {name: value for name, value in row.items() if timed or not name.startswith("latency_")}
        record.add_model(figures)
    run = open_run(small.folder)
    show(run)
    text = capsys.readouterr().out
    assert "0000-dense is rejected: reason 0" in text
    assert "0001-dense is rejected: reason 1" in text
    assert "front:" not in text
    assert run.front().empty
    assert pick(run.models(), {"max_bytes": 5}) is None
