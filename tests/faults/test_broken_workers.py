"""Ranks and processes of a trial that die or hang: tried again from the last checkpoint, with the same result."""

import pandas as pd
import pytest

from orchestrator import run

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


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ["kill", "raise"])
def test_a_broken_attempt_is_made_good(tiny, tmp_path, how, workers):
    wanted = run(tiny(name="sound", **breaking(tmp_path, "never")), quiet=True)
    result = run(tiny(name="broken", **breaking(tmp_path, how, workers={"count": workers})), quiet=True)
    assert result.trials()["status"].tolist() == ["completed"]
    assert len(result.record().trials["0001"].faults) == 1
    pd.testing.assert_frame_equal(result.epochs()[METRICS], wanted.epochs()[METRICS], atol=1e-5)


def test_a_trial_that_hangs_is_ended_and_tried_again(tiny, tmp_path):
    result = run(tiny(**breaking(tmp_path, "hang", faults={"hang_after": 12})), quiet=True)
    assert result.trials()["status"].tolist() == ["completed"]
    assert result.record().trials["0001"].faults == ["no report for 12 s, faults.hang_after"]


def test_after_its_last_attempt_a_trial_has_failed(tiny, tmp_path):
    sweep = breaking(tmp_path, "kill", faults={"retries": 0})
    trials = run(tiny(**sweep), quiet=True).trials()
    assert trials["status"].tolist() == ["failed"]
    assert "died" in trials["error"][0]
