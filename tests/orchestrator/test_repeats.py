"""A configuration with several seeds: who is repeated, what searchers see, what the tables say."""

import math

import pytest

from orchestrator.analysis import configurations
from orchestrator.ray_searcher import RaySearcher
from orchestrator.record import Record
from orchestrator.repeats import average
from orchestrator.searchers import Observation, RandomSearcher
from orchestrator.sections import SearchConfig
from orchestrator.tables import trials_table
from search_spaces import Grid, Space, Uniform

SPACE = Space({"lr": Uniform(0, 1)})


def epoch(number, value):
    report = {"epoch": number, "metrics": {"val_accuracy": value}, "seconds": 2.0}
    return {**report, "timing": {"train": 1.0}, "node": "here", "finished": False}


def recorded():
    record, events = Record("val_accuracy", -1.0), []
    record.listen(events.append)
    return record, events


def finish(record, trial, *values, status="completed"):
    for number, value in enumerate(values, 1):
        record.report(trial, epoch(number, value))
    record.end(trial, status, "bad luck" if status == "failed" else "")


def searcher(record, space=SPACE, **settings):
    settings = SearchConfig(**{"name": "random", "trials": 9, "repeats": 3, **settings})
    return RaySearcher(RandomSearcher(space), record, settings, lambda trial: {"trial": trial.id})


def hand_out(search, record, attempt):
    """The trial that is handed out next."""
    trial = record.trials[search.suggest(attempt)["trial"]]
    record.start(trial.id)
    return trial


def test_what_completes_is_repeated_before_anything_new_and_at_most_so_often():
    record, _ = recorded()
    search, handed = searcher(record), []
    for attempt in range(4):
        trial = hand_out(search, record, str(attempt))
        handed.append(trial)
        finish(record, trial.id, 0.5)
        search.on_trial_complete(str(attempt))
    assert [trial.repeat for trial in handed] == [0, 1, 2, 0]
    assert handed[0].config == handed[1].config == handed[2].config != handed[3].config


@pytest.mark.parametrize("status", ["stopped", "failed"])
def test_what_was_stopped_or_failed_is_not_repeated(status):
    record, _ = recorded()
    search = searcher(record)
    first = hand_out(search, record, "a")
    second = hand_out(search, record, "b")
    assert first.config != second.config
    finish(record, first.id, 0.5, status=status)
    finish(record, second.id, 0.5)
    search.on_trial_complete("a")
    third = hand_out(search, record, "c")
    assert (third.config, third.repeat) == (second.config, 1)
    finish(record, third.id, 0.5, status=status)
    assert hand_out(search, record, "d").repeat == 0


def test_the_search_waits_for_repeats_and_counts_them_as_trials():
    record, _ = recorded()
    search = searcher(record, space=Space({"lr": Grid([1])}), repeats=2)
    trial = hand_out(search, record, "a")
    assert search.suggest("b") is None
    finish(record, trial.id, 0.5)
    search.on_trial_complete("a")
    again = hand_out(search, record, "c")
    finish(record, again.id, 0.5)
    search.on_trial_complete("c")
    assert search.suggest("d") == "FINISHED"
    record, _ = recorded()
    search = searcher(record, trials=1)
    finish(record, hand_out(search, record, "a").id, 0.5)
    search.on_trial_complete("a")
    assert search.suggest("b") == "FINISHED"


def test_searchers_see_one_observation_of_a_configuration():
    record, events = recorded()
    search = searcher(record)
    first = hand_out(search, record, "a")
    record.report(first.id, epoch(1, 0.5))
    (running,) = record.observations()
    assert (running.loss, running.repeats, record.pending()) == (-0.5, 1, [first.config])
    finish(record, first.id, 0.7)
    second = hand_out(search, record, "b")
    record.report(second.id, epoch(1, 0.1))
    assert [shown.loss for shown in record.observations()] == [-0.7]
    assert record.pending() == []
    record.report(second.id, epoch(2, 0.9))
    record.end(second.id, "completed")
    (shown,) = record.observations()
    assert shown.loss == pytest.approx(-0.8)
    assert shown.variance == pytest.approx(0.01)
    assert (shown.repeats, shown.budget) == (2, 2)
    assert shown.curve == pytest.approx((-0.3, -0.8))
    replayed = Record("val_accuracy", -1.0)
    replayed.replay(events)
    assert replayed.observations() == record.observations()
    assert [trial.repeat for trial in replayed.trials.values()] == [0, 1]
    assert replayed.to_repeat(3).id == second.id
    assert replayed.to_repeat(2) is None


def test_a_journal_from_before_there_were_repeats_is_read():
    record, events = recorded()
    finish(record, record.propose({"lr": 0.5}).id, 0.5)
    replayed = Record("val_accuracy", -1.0)
    replayed.replay([{name: event[name] for name in event if name != "repeat"} for event in events])
    assert replayed.observations() == record.observations()


def shown(*curve, config=None, complete=True):
    size = {"budget": len(curve), "cost": len(curve), "complete": complete}
    return Observation(config=config or {"lr": 1}, loss=min(curve), curve=curve, **size)


def test_the_variance_is_that_of_the_mean():
    together = average([shown(1.0), shown(2.0), shown(6.0)])
    assert (together.loss, together.variance) == (3.0, pytest.approx(7.0 / 3))
    assert math.isnan(average([shown(1.0)]).variance)


def test_repeats_of_other_lengths_compare_as_they_ended_unless_one_was_stopped():
    long, short = shown(5.0, 4.0, 1.0), shown(3.0, 2.0)
    assert average([long, short]).loss == 1.5
    assert average([long, short]).curve == (4.0, 3.0)
    stopped = average([long, shown(3.0, 2.0, complete=False)])
    assert (stopped.loss, stopped.budget, stopped.cost) == (3.0, 2, 2.5)


def test_a_failed_repeat_leaves_what_the_others_have_shown():
    failed = Observation(config={"lr": 1}, loss=math.nan)
    assert average([shown(1.0), failed]) == shown(1.0)
    assert average([shown(1.0), shown(3.0), failed]).loss == 2.0
    assert average([failed]).failed
    assert average([failed, failed]).failed


def test_tables_tell_repeats_and_means():
    record, _ = recorded()
    for lr, values in {0.1: (0.5, 0.7), 0.2: (0.65,), 0.3: (0.9,)}.items():
        for repeat, value in enumerate(values):
            status = "stopped" if lr == 0.3 else "completed"
            finish(record, record.propose({"lr": lr, "name": None}, repeat=repeat).id, value, status=status)
    trials = trials_table(record)
    assert list(trials["repeat"]) == [0, 1, 0, 0]
    table = configurations(trials, "val_accuracy", "max")
    assert list(table["config.lr"]) == [0.2, 0.1]
    assert list(table["repeats"]) == [1, 2]
    assert table["mean"].tolist() == pytest.approx([0.65, 0.6])
    assert table["std"].tolist() == pytest.approx([math.nan, 0.02**0.5], nan_ok=True)
