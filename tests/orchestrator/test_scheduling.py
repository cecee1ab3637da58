"""What is recorded of an attempt that failed, from what Ray writes of it. Without a cluster."""

import traceback
from collections import Counter
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from orchestrator.record import Record
from orchestrator.remote_errors import as_remote
from orchestrator.scheduling import Asha
from orchestrator.sections import AshaConfig, FaultConfig, LimitConfig


def failed_with(tiny, folder, text):
    """The error of a trial of which Ray has written that text."""
    sweep, record = tiny(faults={"retries": 0}), Record("val_accuracy", -1.0)
    trial = record.propose({"lr": 0.1}).id
    record.start(trial)
    (folder / "error.txt").write_text(f"Failure # 1 (occurred at 2026-11-25)\n{text}\n")
    rays = SimpleNamespace(trial_id="a", config={"trial": trial}, error_file=str(folder / "error.txt"))
    Asha(sweep, record).on_trial_error(None, rays)
    assert record.trials[trial].status == "failed"
    return record.trials[trial].error


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (KeyError("bad luck"), "KeyError: 'bad luck'"),
        (ValueError("sizes differ:\n\n    2 and 3"), "ValueError: sizes differ: 2 and 3"),
        (StopIteration(), "StopIteration"),
    ],
)
def test_an_exception_is_kept_as_its_kind_and_text(tiny, tmp_path, raised, expected):
    try:
        raise raised
    except Exception as error:
        remote = RayTaskError("step", traceback.format_exc(), error, proctitle="ray::TorchTrial.step")
    assert failed_with(tiny, tmp_path, str(remote)) == expected


def test_a_rank_that_died_is_called_so():
    remote = as_remote(ActorDiedError())
    assert str(remote).startswith("a process of the trial died: The actor died unexpectedly")
    assert remote.died.startswith("The actor died unexpectedly")
    assert not remote.expected


def test_a_process_that_died_is_called_so(tiny, tmp_path):
    text = "The actor died unexpectedly.\n\tclass_name: TorchTrial\nWorker exits with an exit code 1."
    assert failed_with(tiny, tmp_path, text) == "the trial's process ended with exit code 1"


def failing(tiny, outcomes, *, retries=1, replay=False):
    """What is recorded of trials whose attempts fail at those places, in turn; None is an attempt that completes."""
    sweep = tiny(faults={"retries": retries, "give_up": 100})
    events = []
    record = Record("val_accuracy", -1.0)
    record.listen(events.append)
    record.begin_session(1)
    asha = Asha(sweep, record)
    for attempts in outcomes:
        trial = record.propose({"lr": 0.1}).id
        for place in attempts:
            if replay:
                record, asha = resumed_within_the_session(events, sweep)
            asha.hear(trial, {"error": f"error {place}", "place": place, "ends": True})
    return [(trial.status, len(trial.faults)) for trial in record.trials.values()]


def resumed_within_the_session(events, sweep):
    """Record and ASHA as another process makes them from the journal."""
    record = Record("val_accuracy", -1.0)
    record.replay(list(events))
    record.listen(events.append)
    return record, Asha(sweep, record)


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize(
    ("outcomes", "retries", "expected"),
    [
        ([["a", "a"], ["a"], ["a"]], 1, [("failed", 1), ("failed", 0), ("failed", 0)]),
        ([["a", "b"], ["a", "a"], ["a"]], 1, [("failed", 1), ("failed", 1), ("failed", 0)]),
        ([["a", "a"], ["b", "b"], ["b"], ["a"]], 1, [("failed", 1), ("failed", 1), ("failed", 0), ("failed", 0)]),
        ([["", ""], ["", ""]], 1, [("failed", 1), ("failed", 1)]),
        ([["a", "a", "b"], ["a"], ["b", "a", "b"]], 2, [("failed", 2), ("failed", 0), ("failed", 2)]),
        ([["a"], ["a"]], 0, [("failed", 0), ("failed", 0)]),
    ],
)
def test_an_error_that_a_retry_met_again_is_not_tried_again(tiny, outcomes, retries, expected, replay):
    assert failing(tiny, outcomes, retries=retries, replay=replay) == expected


def test_a_new_session_retries_all_errors_once_more(tiny):
    sweep, record = tiny(), Record("val_accuracy", -1.0)
    asha = Asha(sweep, record)
    first, second = (record.propose({"lr": lr}).id for lr in (0.1, 0.2))
    for _ in range(2):
        asha.hear(first, {"error": "x", "place": "a"})
    record.begin_session(1)
    asha.hear(second, {"error": "x", "place": "a"})
    assert record.trials[second].faults == ["x"]


def test_a_process_that_ends_after_its_error_was_reported_fails_its_trial_once(tiny):
    sweep, record = tiny(), Record("val_accuracy", -1.0)
    asha, trial = Asha(sweep, record), record.propose({"lr": 0.1}).id
    attempt = SimpleNamespace(trial_id="a", config={"trial": trial}, error_file=None)
    epoch = {"epoch": 1, "metrics": {"val_accuracy": 0.5}, "seconds": 1.0, "timing": {}, "node": "", "finished": False}
    result = {"report": [epoch, {"error": "KeyError: 1", "place": "a", "ends": True}]}
    assert asha.on_trial_result(None, attempt, result) == "CONTINUE"
    asha.on_trial_error(None, attempt)
    assert record.trials[trial].faults == ["KeyError: 1"]
    assert len(record.trials[trial].epochs) == 1


class Rules:
    """Three brackets, from 1, 3 and 9 epochs on, of up to 27."""

    epochs, limits, faults, trains_students = 27, LimitConfig(), FaultConfig(), False
    asha = AshaConfig(grace_period=1, reduction_factor=3, brackets=3)

    def __init__(self, seed):
        self.seed = seed

    def compares(self, config):
        return True


def lowest_rungs(seed, trials):
    """Of trials each worse than those before, the epochs at which ASHA stops them: their brackets' grace periods."""
    record = Record("loss", 1.0)
    asha = Asha(Rules(seed), record)
    for number in range(trials):
        trial = record.propose({"x": number}).id
        figures = {"metrics": {"loss": float(number)}, "seconds": 1.0, "timing": {}, "node": ""}
        for epoch in range(1, 28):
            if not asha.hear(trial, {"epoch": epoch, "finished": epoch == 27, **figures}):
                break
    return [len(trial.epochs) for trial in record.trials.values() if trial.status == "stopped"]


def test_brackets_are_drawn_by_how_many_rungs_they_have():
    """Of 4, 3 and 2 rungs, by the exponentials of these: 66.5%, 24.5% and 9.0% of the trials."""
    stopped = lowest_rungs(0, 600)
    assert len(stopped) >= 590
    counts = Counter(stopped)
    assert set(counts) == {1, 3, 9}
    for epoch, share in ((1, 0.665), (3, 0.245), (9, 0.09)):
        assert abs(counts[epoch] / len(stopped) - share) < 4 * (share * (1 - share) / len(stopped)) ** 0.5


def test_brackets_follow_from_the_seed_and_the_trial():
    drawn = {seed: lowest_rungs(seed, 60) for seed in range(4)}
    assert drawn[0] == lowest_rungs(0, 60)
    assert len({tuple(epochs) for epochs in drawn.values()}) == 4
