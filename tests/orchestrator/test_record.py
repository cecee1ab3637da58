"""The record, its limits and what is kept of it, as functions of events."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SweepError
from orchestrator.limits import reached
from orchestrator.record import Record
from orchestrator.retention import Retention
from orchestrator.scheduling import Asha


def epoch(number, value, *, finished=False):
    return {
        "epoch": number,
        "metrics": {"val_accuracy": value},
        "seconds": 1.0,
        "timing": {"train": 1.0},
        "node": "here",
        "finished": finished,
    }


def recorded(listening=None):
    """A record that also keeps its events."""
    record, events = Record("val_accuracy", -1.0), []
    record.listen(events.append)
    if listening:
        record.listen(listening)
    return record, events


def add(record, *values, status=None):
    """A trial with these accuracies, epoch by epoch, ended if a status is given."""
    trial = record.propose({"lr": len(record.trials)}).id
    record.start(trial)
    for number, value in enumerate(values, 1):
        record.report(trial, epoch(number, value))
    if status:
        record.end(trial, status, "bad luck" if status == "failed" else "")
    return trial


def test_a_replayed_record_is_the_same():
    record, events = recorded()
    record.begin_session(2)
    add(record, 0.5, 0.7, status="completed")
    add(record, 0.6)
    failing = add(record, status=None)
    record.fault(failing, "first")
    record.end(failing, "failed", "second")
    record.add_model({"id": "m", "status": "ok"})
    record.add_model({"id": "m", "latency": 1.0})
    again = Record("val_accuracy", -1.0)
    again.replay(events)
    assert again.trials == record.trials
    assert again.models == {"m": {"id": "m", "status": "ok", "latency": 1.0}}
    assert (again.observations(), list(again.open), again.elapsed) == (
        record.observations(),
        list(record.open),
        record.elapsed,
    )


def test_a_failed_trial_has_no_loss_and_a_trial_ends_once():
    record, _ = recorded()
    failed = add(record, 0.9, status="failed")
    record.end(failed, "completed")
    assert record.trials[failed].status == "failed"
    assert math.isnan(record.observations()[0].loss)
    assert record.best() == []


def test_the_best_come_first_and_the_earlier_of_equals():
    record, _ = recorded()
    ids = [add(record, *values, status="completed") for values in ([0.5], [0.9, 0.1], [0.9], [0.7])]
    assert [trial.id for trial in record.best(3)] == [ids[1], ids[2], ids[3]]


def test_an_event_out_of_nowhere_is_told_with_its_place():
    with pytest.raises(SweepError, match="event 1 does not follow"):
        Record("val_accuracy", -1.0).replay([{"event": "start", "trial": "0007", "time": 0.0}])


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"epochs": 3}, "3 epochs are trained, of limits.epochs 3"),
        ({"epochs": 4}, ""),
        ({"target": 0.8}, "trial 0001 has reached val_accuracy 0.8"),
        ({"target": 0.81}, ""),
        ({"patience": 1}, "1 trials since the best one"),
        ({"patience": 2}, ""),
    ],
)
def test_limits_are_told_when_they_are_reached(tiny, limits, words):
    record, _ = recorded()
    add(record, 0.7, 0.8, status="completed")
    add(record, 0.6, status="stopped")
    assert words in reached(tiny(limits=limits), record)
    assert bool(words) == bool(reached(tiny(limits=limits), record))


def test_only_a_sweep_in_which_nothing_works_is_given_up(tiny):
    record, _ = recorded()
    for _ in range(3):
        add(record, status="failed")
    assert "all of the first 3 trials failed; the last: bad luck" in reached(tiny(faults={"give_up": 3}), record)
    add(record, 0.5, status="completed")
    assert reached(tiny(faults={"give_up": 3}), record) == ""


def test_checkpoints_of_the_best_and_of_open_trials_stay(tmp_path):
    record, _ = recorded()
    retention = Retention(record, tmp_path, keep=2)
    record.listen(retention)
    for value in (0.5, 0.9, 0.7, 0.8, 0.6):
        trial = add(record, value)
        (tmp_path / "checkpoints" / trial).mkdir(parents=True)
        record.end(trial, "completed")
    going_on = add(record, 0.1)
    (tmp_path / "checkpoints" / going_on).mkdir()
    (tmp_path / "checkpoints" / "0099").mkdir()
    retention.clear()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["0002", "0004", going_on]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), max_size=60))
def test_replayed_rungs_decide_as_they_did(results):
    """Trials report in any order; a second ASHA that hears of it from the journal has stopped the same ones."""
    from orchestrator.sweep import make_sweep

    sweep = make_sweep(
        {
            "name": "x",
            "space": {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.3]}}},
            "search": {"name": "random", "trials": 6},
            "asha": {"grace_period": 1, "reduction_factor": 2, "brackets": 2},
            "train": {"epochs": 8},
        }
    )
    record, events = recorded()
    asha = Asha(sweep, record)
    trials = [record.propose({"optimizer.lr": 0.01 * number}).id for number in range(1, 7)]
    for index, value in results:
        trial = record.trials[trials[index]]
        if trial.id in record.open and len(trial.epochs) < 8:
            report = epoch(len(trial.epochs) + 1, value, finished=len(trial.epochs) == 7)
            asha.on_trial_result(None, attempt_of(trial.id), {"report": [report]})
    heard = [event for event in events if event["event"] != "end"]
    replayed = Record("val_accuracy", -1.0)
    replayed.replay(heard)
    again = Asha(sweep, replayed)
    again.replay(heard)
    assert again.below == asha.below
    assert {name: trial.status for name, trial in replayed.trials.items()} == {
        name: trial.status for name, trial in record.trials.items()
    }


def attempt_of(trial):
    """All that the scheduler looks at of a trial of Ray's."""
    return type("Attempt", (), {"config": {"trial": trial}})()


def test_what_a_worker_tells_of_its_checkpoint_is_noted(tiny):
    record, events = recorded()
    asha = Asha(tiny(), record)
    trial = record.propose({"lr": 1}).id
    asha.hear(trial, {**epoch(1, 0.5), "note": "last.pt is damaged"})
    assert record.notes == ["trial 0001: last.pt is damaged"]
    again = Record("val_accuracy", -1.0)
    again.replay(events)
    assert again.notes == record.notes


def test_a_running_trial_that_leads_does_not_push_the_best_that_are_over_out():
    """Their checkpoints would be deleted for one that may still fail."""
    record, _ = recorded()
    ended = [add(record, value, status="completed") for value in (0.5, 0.7, 0.6)]
    leads, follows = add(record, 0.9), add(record, 0.65)
    assert [trial.id for trial in record.best_over(2)] == [ended[1], ended[2]]
    assert [trial.id for trial in record.best_over(9)] == [ended[1], ended[2], ended[0]]
    record.end(leads, "failed")
    record.end(follows, "completed")
    assert [trial.id for trial in record.best_over(2)] == [ended[1], follows]


def test_checkpoints_of_the_best_that_are_over_stay_while_others_lead(tmp_path):
    record, _ = recorded()
    record.listen(Retention(record, tmp_path, keep=1))
    running = [add(record, 0.9), add(record, 0.8)]
    for value in (0.5, 0.7, 0.6):
        trial = add(record, value)
        (tmp_path / "checkpoints" / trial).mkdir(parents=True)
        record.end(trial, "completed")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0004"]
    for trial in running:
        record.end(trial, "failed")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0004"]


def test_a_limit_holds_for_its_session(tiny):
    record, events = recorded()
    record.begin_session(1)
    add(record, 0.5, status="completed")
    record.reach_limit("enough")
    again = Record("val_accuracy", -1.0)
    again.replay(events)
    assert again.limit == "enough"
    again.begin_session(1)
    assert not again.limit


def test_time_between_sessions_does_not_count():
    now = iter([0.0, 4.0, 9.0, 10_000.0, 10_002.0, 10_005.0])
    record = Record("val_accuracy", -1.0, clock=lambda: next(now))
    for _ in range(2):
        record.begin_session(1)
        trial = record.propose({"lr": len(record.trials)}).id
        record.end(trial, "completed")
    assert (record.elapsed, record.time.search) == (14.0, 14.0)


def test_a_running_trial_is_seen_anew_after_each_report():
    record, _ = recorded()
    trial = add(record, 0.5)
    first = record.observations()[0]
    assert record.observations()[0] is first
    record.report(trial, epoch(2, 0.7))
    second = record.observations()[0]
    assert (first.curve, first.loss, first.budget) == ((-0.5,), -0.5, 1)
    assert (second.curve, second.loss, second.budget) == ((-0.5, -0.7), -0.7, 2)
    record.report(trial, epoch(3, 0.6))
    assert record.observations()[0].curve == (-0.5, -0.7, -0.6)
    record.end(trial, "completed")
    assert record.observations()[0].complete
