"""What ends a search, over sessions: by limits of the sweep, and where nothing works."""

import pytest

from orchestrator.analysis import savings
from orchestrator.extension import how_to_extend, what_ended
from orchestrator.limits import reached
from orchestrator.ray_searcher import RaySearcher
from orchestrator.record import Record
from orchestrator.scheduling import Asha
from orchestrator.searchers import RandomSearcher


class Driven:
    """A search without Ray: trials start and report when a test says so; a new session replays the events."""

    def __init__(self, sweep):
        self.sweep, self.events, self.now = sweep, [], 0.0
        self.session()

    def session(self, sweep=None):
        self.sweep = sweep or self.sweep
        self.now += 1000
        self.record = Record(self.sweep.metric, self.sweep.sign, clock=lambda: self.now)
        self.record.replay(self.events)
        self.record.listen(self.events.append)
        self.record.begin_session(2)
        self.asha = Asha(self.sweep, self.record)
        self.asha.replay(self.events[:-1])
        searcher = RandomSearcher(self.sweep.space, self.sweep.seed)
        settings, look = self.sweep.search, self.asha.look_at_limits
        self.source = RaySearcher(searcher, self.record, settings, lambda trial: {"trial": trial.id}, look)
        return self

    def next(self):
        """The id of the next trial that is started; None where there is none, for now or at all."""
        job = self.source.suggest(str(self.now))
        self.now += 1
        if not isinstance(job, dict):
            return None
        self.record.start(job["trial"])
        self.attempt = str(self.now - 1)
        return job["trial"]

    def tell(self, trial, value, *, finished=False):
        """Whether the trial goes on after an epoch with that accuracy."""
        self.now += 1
        number = len(self.record.trials[trial].epochs) + 1
        report = {"epoch": number, "metrics": {"val_accuracy": value}, "seconds": 1.0}
        return self.asha.hear(trial, {**report, "timing": {}, "node": "", "finished": finished})

    def complete(self, value):
        trial = self.next()
        self.tell(trial, value, finished=True)
        self.source.on_trial_complete(self.attempt)
        return trial

    def fail(self):
        trial = self.next()
        self.asha.hear(trial, {"error": "bad luck"})
        self.source.on_trial_complete(self.attempt)
        return trial


@pytest.fixture
def driven(tiny):
    space = {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.3]}}}

    def make(**changes):
        search = {"name": "random", "trials": 40}
        return Driven(tiny(**{"asha": None, "space": space, "search": search, **changes}))

    return make


LIMITS = {"epochs": 3, "minutes": 0.1, "target": 0.8, "patience": 2}
RAISED = {"epochs": 9, "minutes": 9.0, "target": 0.95, "patience": 9}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_ends_the_search_and_a_plain_resume_starts_nothing(driven, tiny, name):
    search = driven(limits={name: LIMITS[name]})
    values = iter([0.8, 0.5, 0.4, 0.3, 0.2, 0.1])
    while not reached(search.sweep, search.record):
        search.complete(next(values))
    trials = len(search.record.trials)
    assert search.next() is None
    assert f"limits.{name}" in search.record.limit
    search.session()
    assert f"limits.{name}" in search.record.limit
    assert search.next() is None
    assert len(search.record.trials) == trials
    assert f"limits.{name} {LIMITS[name]:g}" in what_ended(search.sweep, search.record)
    told = how_to_extend(search.sweep, search.record, "runs/my run")
    assert told.startswith(f"to extend it, change limits.{name}: echo 'limits: {{{name}: ")
    assert told.endswith("halving resume 'runs/my run' --changes more.yaml")
    raised = search.sweep.model_copy(update={"limits": search.sweep.limits.model_copy(update={name: RAISED[name]})})
    search.session(raised)
    assert not search.record.limit
    assert not what_ended(search.sweep, search.record)
    assert search.next() is not None


def test_a_limit_ends_what_was_under_way_in_the_session_before(driven):
    search = driven(limits={"epochs": 2})
    first, waiting = search.next(), search.next()
    search.tell(first, 0.5)
    search.record.report(waiting, search.events[-1] | {"epoch": 1})
    assert set(search.record.open) == {first, waiting}
    search.session()
    assert not search.record.open
    assert {trial.stopped_by for trial in search.record.trials.values()} == {"limit"}


def test_trials_that_wait_for_an_attempt_end_with_the_search(driven):
    search = driven(limits={"epochs": 1})
    waiting = search.next()
    search.asha.hear(waiting, {"error": "bad luck"})
    search.source.on_trial_complete(search.attempt)
    search.record.propose({"optimizer.lr": 0.1})
    search.complete(0.5)
    search.asha.end_due()
    assert not search.record.open


def test_minutes_are_of_the_search_and_not_of_models_or_pauses(driven):
    search = driven(limits={"minutes": 1.0})
    trial = search.next()
    search.tell(trial, 0.5)
    search.now += 601
    search.record.add_model({"id": "m", "status": "ok"})
    search.session()
    search.now += 10
    assert search.tell(trial, 0.6)
    assert not search.record.limit
    search.now += 50
    assert not search.tell(trial, 0.7)
    assert search.record.limit == "1.1 minutes have passed, of limits.minutes 1"


def test_failed_trials_are_trials_without_a_new_best(driven):
    search = driven(limits={"patience": 3}, faults={"retries": 0})
    search.fail()
    assert not search.record.limit
    search.complete(0.5)
    search.complete(0.4)
    search.fail()
    assert not search.record.limit
    search.fail()
    assert search.record.limit == "3 trials since the best one, of limits.patience 3"


def test_failures_of_earlier_sessions_do_not_count(driven):
    search = driven(faults={"retries": 0, "give_up": 3})
    for _ in range(3):
        search.fail()
    assert "all of the first 3 trials failed; the last: bad luck" in search.record.limit
    assert search.next() is None
    search.session()
    search.fail()
    search.fail()
    assert not search.record.limit
    trial = search.next()
    assert search.tell(trial, 0.5)
    assert search.tell(trial, 0.6, finished=True) is False
    assert search.record.trials[trial].status == "completed"
    assert not search.record.limit


def test_a_search_that_is_given_up_stops_no_trial_that_reports(driven):
    search = driven(faults={"retries": 0, "give_up": 2})
    healthy = search.next()
    search.fail()
    search.fail()
    assert search.record.limit
    assert search.next() is None
    assert search.tell(healthy, 0.5)
    assert not search.record.limit
    assert search.next() is not None
    assert search.tell(healthy, 0.6)
    search.tell(healthy, 0.7, finished=True)
    assert search.record.trials[healthy].status == "completed"


def test_a_session_in_which_a_trial_completed_is_not_given_up(driven):
    search = driven(faults={"retries": 0, "give_up": 2})
    search.complete(0.5)
    for _ in range(3):
        search.fail()
    assert search.next() is not None
    assert not search.record.limit


def test_what_reported_before_an_interruption_keeps_no_search_alive(driven):
    """It has no process in the new session until it is started again."""
    search = driven(faults={"retries": 0, "give_up": 2})
    search.tell(search.next(), 0.5)
    search.session()
    for _ in range(2):
        trial = search.record.propose({"optimizer.lr": 0.01 + 0.001 * len(search.record.trials)}).id
        search.asha.hear(trial, {"error": "bad luck"})
    assert "all of the first 2 trials failed" in search.record.limit


def test_trials_that_report_and_then_fail_work_no_better(driven):
    search = driven(faults={"retries": 0, "give_up": 2})
    for _ in range(2):
        trial = search.next()
        assert search.tell(trial, 0.5)
        assert not search.record.limit
        search.asha.hear(trial, {"error": "diverged"})
        search.source.on_trial_complete(search.attempt)
    assert "all of the first 2 trials failed; the last: diverged" in search.record.limit


def test_what_asha_saved_is_not_what_a_limit_stopped(driven, tiny):
    """Of trials with 4 and with 2 epochs of their own."""
    space = {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.3]}, "epochs": {"grid": [2, 4]}}}
    search = driven(space=space, asha={"grace_period": 1, "reduction_factor": 2}, limits={"target": 0.99})
    best = search.next()
    search.tell(best, 0.9)
    stopped = []
    for value in (0.3, 0.2, 0.1):
        trial = search.next()
        assert not search.tell(trial, value)
        stopped.append(search.record.trials[trial])
    search.tell(best, 0.995)
    running = search.next()
    assert running is None
    saved = savings(search.record, search.sweep.epochs_of)
    own = [trial.config["epochs"] for trial in stopped]
    assert {trial.stopped_by for trial in stopped} == {"asha"}
    assert (saved["stopped"], saved["epochs_saved"]) == (3, sum(own) - 3)
    last = search.record.trials[best]
    assert saved["limited"] == (last.stopped_by == "limit")
    assert saved["epochs_trained"] == 5


def test_ends_of_earlier_versions_were_of_a_limit_where_one_was_reached():
    record = Record("val_accuracy", -1.0)
    events = [{"event": "session", "slots": 1}]
    events += [{"event": "propose", "trial": f"000{n}", "config": {"x": n}, "seconds": 0.0} for n in (1, 2)]
    events += [{"event": "end", "trial": "0001", "status": "stopped", "error": ""}]
    events += [{"event": "limit", "reason": "enough"}]
    events += [{"event": "end", "trial": "0002", "status": "stopped", "error": ""}]
    record.replay([{**event, "time": 1.0} for event in events])
    assert [trial.stopped_by for trial in record.trials.values()] == ["asha", "limit"]


def test_a_run_whose_trials_are_all_over_is_extended_by_more_or_by_a_wider_space(tiny, driven):
    search = driven(search={"name": "random", "trials": 2})
    assert not what_ended(search.sweep, search.record)
    search.complete(0.5)
    under_way = search.next()
    assert not what_ended(search.sweep, search.record)
    search.tell(under_way, 0.5, finished=True)
    assert what_ended(search.sweep, search.record) == "all of 2 trials, search.trials 2, are over"
    told = how_to_extend(search.sweep, search.record, "s3://bucket/a?region=x&scheme=http")
    assert told == "to extend it: halving resume 's3://bucket/a?region=x&scheme=http' --trials 4"
    small = {"space": {"parameters": {"model.width": {"grid": [8, 16]}}}, "search": {"name": "random", "trials": 9}}
    search = driven(**small)
    search.complete(0.5)
    search.complete(0.6)
    assert what_ended(search.sweep, search.record) == "all 2 configurations of the space were tried"
    assert "widen the space" in how_to_extend(search.sweep, search.record, "runs/a")


def test_a_limit_that_the_end_of_a_trial_reaches_starts_no_further_one(driven):
    search = driven(limits={"patience": 1})
    search.complete(0.5)
    search.complete(0.4)
    assert search.next() is None
    assert reached(search.sweep, search.record) == search.record.limit != ""
