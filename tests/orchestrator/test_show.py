"""What a person reads of a run, here of runs whose journals are written by hand."""

from __future__ import annotations

import pytest

from orchestrator.journal import Journal
from orchestrator.record import Record
from orchestrator.run_folder import make_folder, open_run
from orchestrator.searchers import GridSearcher
from orchestrator.show import show


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
        metrics = {"epoch": 1, "val_accuracy": 0.5, "val_loss": 1.0, "seconds": 2.0}
        timing = dict.fromkeys(("data", "build", "train", "evaluate", "checkpoint"), 0.1)
        record.report(trial, {"metrics": metrics, "timing": timing, "node": "", "finished": True})
        record.end(trial, "completed")
    show(open_run(sweep.folder))
    return capsys.readouterr().out


@pytest.mark.parametrize(("trials", "exhausted"), [(3, False), (4, True)])
def test_a_space_of_which_nothing_is_left_is_said_to_be_exhausted(small, capsys, trials, exhausted):
    text = shown_after(small, trials, capsys)
    assert ("the space is exhausted: all of its 4 configurations were tried" in text) == exhausted


def test_no_more_trials_are_promised_than_the_space_has(small):
    assert small.most_trials == 4
