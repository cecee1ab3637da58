"""What a person is told while a search goes on."""

from itertools import count

import pytest

from orchestrator.progress import Progress
from orchestrator.record import Record


def searched(trials: int, epochs: int) -> Record:
    """A record of trials that are over after so many epochs, to which every event added a second."""
    record = Record("val_accuracy", -1.0, clock=map(float, count()).__next__)
    record.begin_session(1)
    for number in range(trials):
        trial = record.propose({"lr": number}).id
        record.start(trial)
        for epoch in range(1, epochs + 1):
            report = {"epoch": epoch, "metrics": {"val_accuracy": 0.5}, "seconds": 1.0}
            record.report(trial, {**report, "timing": {}, "node": "here", "finished": epoch == epochs})
        record.end(trial, "completed")
    return record


@pytest.mark.parametrize(
    ("trials", "limits", "share", "epochs"),
    [
        (8, {}, 1 / 2, "16"),
        (1000, {"epochs": 20}, 4 / 5, "16/20"),
        (8, {"epochs": 1000}, 1 / 2, "16/1000"),
        (1000, {"epochs": 32}, 1 / 2, "16/32"),
        (1000, {"minutes": 1.0}, 28 / 60, "16"),
    ],
)
def test_the_time_left_is_that_to_whatever_ends_the_search_first(tiny, trials, limits, share, epochs):
    space = {"parameters": {"optimizer.lr": {"uniform": [0.01, 0.1]}}}
    record = searched(trials=4, epochs=4)
    sweep = tiny(space=space, search={"name": "random", "trials": trials}, limits=limits)
    figures = Progress(sweep, record, quiet=True).figures()
    assert figures["epochs"] == epochs
    assert figures["left"] == f"about 0:{round(record.elapsed / share * (1 - share)):02d}"


def test_no_time_is_told_before_there_is_a_pace(tiny):
    assert "left" not in Progress(tiny(), searched(trials=2, epochs=1), quiet=True).figures()
