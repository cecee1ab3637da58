"""Ranks and processes of a trial that die or hang: tried again from the last checkpoint, with the same result."""

import re

import pandas as pd
import pytest

from orchestrator import run
from trainables import Worker

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

METRICS = ["epoch", "train_loss", "val_loss", "val_accuracy", "lr"]


def breaking(tmp_path, how, **changes):
    """A sweep of one trial whose model breaks its process once, in its third epoch."""
    model = {"name": "tests.orchestrator.own_models:Breaks", "how": how, "marker": str(tmp_path / f"broken-{how}")}
    return {
        "space": {"parameters": {"model.hidden": {"grid": [16]}}},
        "search": {"name": "grid"},
        "asha": None,
        "train": {"model": model, "epochs": 4},
        **changes,
    }


@pytest.mark.parametrize(
    ("how", "workers"), [("kill", 2), ("raise", 1), pytest.param("hang", 1, marks=pytest.mark.slow)]
)
def test_a_broken_attempt_is_made_good(tiny, tmp_path, how, workers):
    sweep = breaking(tmp_path, how, workers={"count": workers}, faults={"hang_after": 12 if how == "hang" else 600})
    result = run(tiny(name="broken", **sweep), quiet=True)
    assert result.trials()["status"].tolist() == ["completed"]
    (fault,) = result.record().trials["0001"].faults
    said = {
        "kill": r"the trial's process ended by signal KILL, .+; see logs/0001\.log",
        "raise": r"RuntimeError: the third epoch is bad luck \(tests/orchestrator/own_models.py:\d+ in forward\)",
    }
    assert re.fullmatch(said.get(how, "no report for 12 s, faults.hang_after"), fault)
    pd.testing.assert_frame_equal(result.epochs()[METRICS], in_one_go(tmp_path)[METRICS], atol=1e-5)


def in_one_go(tmp_path):
    """What a worker that nothing befalls reports, here and without Ray."""
    worker = Worker()
    worker.begin({**breaking(tmp_path, "never")["train"], "stopping": {"metric": "val_accuracy"}}, None)
    epochs = []
    while not worker.finished:
        report = worker.epoch()
        epochs.append({**report, **report["metrics"]})
    return pd.DataFrame(epochs)


def test_after_its_last_attempt_a_trial_has_failed(tiny, tmp_path):
    sweep = breaking(tmp_path, "kill", faults={"retries": 0})
    trials = run(tiny(**sweep), quiet=True).trials()
    assert trials["status"].tolist() == ["failed"]
    assert "ended by signal KILL" in trials["error"][0]
