"""Where the time of a run went: nothing counts between sessions, and shares of the workers' time add up."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis import efficiency
from orchestrator.record import Record
from orchestrator.time_spent import minutes_of, union


class Clock:
    """Seconds that a test sets."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


def reported(number, *, finished=False, **timing):
    figures = {"epoch": number, "metrics": {"loss": 1.0 / number}, "seconds": 1.0}
    return {**figures, "timing": timing, "node": "", "finished": finished}


@pytest.fixture
def timed():
    """A record, its clock, and the list of its events."""
    clock, events = Clock(), []
    record = Record("loss", 1.0, clock=clock)
    record.listen(events.append)
    return record, clock, events


def test_what_was_proposed_and_not_started_before_a_stop_does_not_count_the_pause(timed):
    record, clock, _ = timed
    record.begin_session(4)
    trials = []
    for _ in range(4):
        clock.now += 0.5
        trials.append(record.propose({"x": len(trials)}, seconds=0.2).id)
    clock.now += 173
    record.begin_session(4)
    for trial in trials:
        clock.now += 1
        record.start(trial)
    for trial in trials:
        clock.now += 10
        record.report(trial, reported(1, finished=True, train=8.0))
        record.end(trial, "completed")
    shares = efficiency(record)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert record.elapsed == pytest.approx(2 + 44)
    assert shares["train"] == pytest.approx(4 * 8 / (4 * 46))
    assert (shares["start"], shares["propose"]) == (0, pytest.approx(0.8 / (4 * 46)))


def test_a_start_counts_from_the_proposal_of_the_same_session_once(timed):
    record, clock, _ = timed
    record.begin_session(1)
    trial = record.propose({"x": 1}).id
    clock.now += 3
    record.start(trial)
    clock.now += 5
    record.fault(trial, "bad luck")
    clock.now += 2
    record.start(trial)
    assert efficiency(record)["start"] == pytest.approx(3 / 10)


def test_a_second_start_in_one_attempt_is_none_from_a_proposal(timed):
    record, clock, _ = timed
    record.begin_session(1)
    trial = record.propose({"x": 1}).id
    for _ in range(2):
        clock.now += 4
        record.start(trial)
    assert efficiency(record)["start"] == pytest.approx(4 / 8)


def test_more_trials_than_workers_take_the_time_of_as_many(timed):
    record, clock, _ = timed
    record.begin_session(1)
    for number in range(3):
        record.propose({"x": number})
    clock.now += 10
    record.start("0001")
    assert record.time.workers == 30


def test_epochs_that_are_reported_together_share_the_time_that_passed(timed):
    record, clock, _ = timed
    record.begin_session(1)
    record.start(record.propose({"x": 1}).id)
    clock.now += 4
    for number in range(1, 5):
        record.report("0001", reported(number, train=0.75, evaluate=0.25))
    shares = efficiency(record)
    assert (shares["train"], shares["evaluate"], shares["wait"]) == (pytest.approx(0.75), pytest.approx(0.25), 0)


def test_reports_of_more_time_than_has_passed_are_cut_to_it(timed):
    """A node whose clock runs faster, say."""
    record, clock, _ = timed
    record.begin_session(2)
    record.start(record.propose({"x": 1}).id)
    clock.now += 4
    record.report("0001", reported(1, train=9.0, data=3.0))
    shares = efficiency(record)
    assert (shares["train"], shares["data"], shares["wait"]) == (0.375, 0.125, 0.5)


def test_the_search_takes_the_time_until_its_last_event_and_models_the_rest(timed):
    """`limits.minutes` is of the search: 9 s of it and 601 s of models are no minute."""
    record, clock, events = timed
    record.begin_session(1)
    trial = record.propose({"x": 1}).id
    clock.now += 9
    record.end(trial, "stopped")
    for passed in (600, 1):
        clock.now += passed
        record.add_model({"id": "m", "status": "ok"})
    clock.now += 4
    record.end_session("", searching=False)
    assert (record.elapsed, record.time.search) == (614, 9)
    clock.now += 10**6
    record.begin_session(1)
    clock.now += 6
    record.end_session("SIGINT", searching=True)
    assert (record.elapsed, record.time.search) == (620, 15)
    again = Record("loss", 1.0)
    again.replay(events)
    assert (again.elapsed, again.time.search, again.time.workers) == (620, 15, record.time.workers)


ACTIONS = st.sampled_from(["propose", "start", "epoch", "fault", "end", "model", "session", "stop"])


@given(st.lists(st.tuples(ACTIONS, st.integers(0, 4), st.integers(0, 10**4), st.floats(0, 20)), max_size=60))
def test_shares_add_up_and_none_is_negative_whatever_happens_when(steps):
    """Any event in any order, more trials at a time than there are workers among them, and epochs that report what
    never passed."""
    clock = Clock()
    record, passed = Record("loss", 1.0, clock=clock), 0.0
    record.begin_session(1)
    for action, choice, milliseconds, seconds in steps:
        clock.now += milliseconds / 1000
        open_trials = list(record.open)
        name = open_trials[choice % len(open_trials)] if open_trials else None
        if action == "session":
            record.begin_session(1 + choice)
            continue
        if action == "propose":
            record.propose({"x": len(record.trials)}, seconds)
        elif action == "model":
            record.add_model({"id": str(choice)})
        elif action == "stop":
            record.end_session("SIGTERM", searching=bool(choice % 2))
        elif name is None:
            clock.now -= milliseconds / 1000
            continue
        elif action == "epoch":
            number = len(record.trials[name].epochs) + 1
            record.report(name, reported(number, train=seconds, data=seconds / 3))
        else:
            {"start": record.start, "fault": lambda n: record.fault(n, "x"), "end": lambda n: record.end(n, "failed")}[
                action
            ](name)
        passed += milliseconds / 1000
    shares = efficiency(record)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert record.elapsed == pytest.approx(passed, abs=1e-6)
    assert record.time.search <= record.elapsed + 1e-9
    assert sum(end - begin for begin, end in record.time.sessions) == pytest.approx(record.elapsed)


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_durations_do_not_follow_a_clock_that_is_set(monkeypatch, jump):
    record, wall = Record("loss", 1.0), time.time
    record.begin_session(1)
    trial = record.propose({"x": 1}).id
    record.start(trial)
    monkeypatch.setattr("time.time", lambda: wall() + jump)
    record.report(trial, reported(1, train=0.0))
    assert 0 <= record.elapsed < 60
    assert 0 <= record.silence(trial) < 60
    assert 0 <= record.time.search < 60


def test_journals_of_earlier_versions_have_the_wall_clock_alone():
    """That was set back an hour after the second event."""
    record = Record("loss", 1.0)
    proposed = {"event": "propose", "trial": "0001", "config": {}, "seconds": 0.0}
    started = {"event": "start", "trial": "0001"}
    events = [
        {"event": "session", "slots": 2, "time": 5000.0},
        {**proposed, "time": 5002.0},
        {**started, "time": 1402.0},
    ]
    record.replay([*events, {**started, "time": 1403.0}])
    assert (record.elapsed, record.time.workers, record.time.sessions) == (3.0, 6.0, [(5000.0, 5003.0)])


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [([], 0), ([(1, 4)], 3), ([(1, 4), (6, 7)], 4), ([(1, 9), (2, 3), (8, 10)], 9), ([(5, 6), (1, 5.5)], 5)],
)
def test_time_that_spans_share_counts_once(spans, seconds):
    assert union(spans) == seconds


def test_times_are_told_in_minutes():
    assert [minutes_of(seconds) for seconds in (0, 59.6, 171, 7300)] == ["0:00", "1:00", "2:51", "121:40"]
