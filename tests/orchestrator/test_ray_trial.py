"""The trainable that Ray Tune steps through a trial, here without Ray."""

from __future__ import annotations

import math

import pytest

from orchestrator import ray_trial
from orchestrator.sweep import WorkerConfig
from orchestrator.user_code import UserCode
from trainables import TrainConfig
from trainables.loop import LoopConfig

EPOCHS = 5
CODE = UserCode.here("runs").to_dict()


def make_job(folder, **train) -> dict:
    config = TrainConfig.of({"model": {"name": "mlp", "width": 4, "depth": 1}, "epochs": EPOCHS}, train)
    start = {
        "config": config.model_dump(mode="json"),
        "folder": str(folder),
        "known_epochs": 0,
        "save_at": [2, EPOCHS],
    }
    return {"trial": "0001", "start": start, "workers": WorkerConfig().model_dump(), "hang_after": 60.0, "code": CODE}


def steps(trial: ray_trial.TorchTrial) -> list[list[int]]:
    """The epochs that each step reports, to the trial's end."""
    told: list[list[dict]] = []
    while not told or not told[-1][-1]["finished"]:
        told.append(trial.step()["report"])
    return [[report["epoch"] for report in step] for step in told]


@pytest.mark.parametrize(("every_s", "expected"), [(0.0, [[1], [2], [3], [4], [5]]), (math.inf, [[1, 2], [3, 4, 5]])])
def test_short_epochs_are_told_together_but_never_past_a_rung(tmp_path, monkeypatch, every_s, expected):
    monkeypatch.setattr(ray_trial, "REPORT_EVERY_S", every_s)
    assert steps(ray_trial.TorchTrial(make_job(tmp_path))) == expected


def test_a_trial_that_diverges_tells_what_came_before_and_leaves_the_process_to_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_trial, "REPORT_EVERY_S", math.inf)
    trial = ray_trial.TorchTrial(make_job(tmp_path / "1", **{"optimizer.lr": 1e30, "optimizer.momentum": 0.0}))
    *_, last = trial.step()["report"]
    assert "not finite" in last["error"]
    trial.reset_config(make_job(tmp_path / "2"))
    assert steps(trial) == [[1, 2], [3, 4, 5]]


def test_data_that_are_gone_are_the_trials_error_and_leave_the_process_to_the_next(tmp_path):
    gone = {"data": {"name": "npz", "path": str(tmp_path / "gone.npz")}}
    trial = ray_trial.TorchTrial(make_job(tmp_path / "1", **gone))
    (report,) = trial.step()["report"]
    assert report["error"].startswith(f"DataError: {tmp_path}/gone.npz must be an .npz file")
    trial.reset_config(make_job(tmp_path / "2"))
    assert steps(trial)[-1][-1] == EPOCHS


def loop_job(function: str, epochs: int = EPOCHS) -> dict:
    config = LoopConfig(loop=f"tests.orchestrator.own_loops:{function}", epochs=epochs)
    start = {"config": config.model_dump(mode="json"), "folder": None, "known_epochs": 0, "save_at": []}
    start |= {"trial": "0001", "metric": "height"}
    return {"trial": "0001", "start": start, "workers": WorkerConfig().model_dump(), "hang_after": 60.0, "code": CODE}


@pytest.mark.parametrize(
    ("function", "epochs", "text", "ends"),
    [
        ("raises_after_three", 5, "KeyError: 'bad luck' (tests/orchestrator/own_loops.py:", True),
        ("raises_after_three", 3, "KeyError: 'bad luck' (tests/orchestrator/own_loops.py:", True),
        ("exits_after_three", 5, "it ended with SystemExit: no GPU (tests/orchestrator/own_loops.py:", False),
        ("misnames_after_three", 5, "report() must be given the metric height, but got hight (tests/", False),
    ],
)
def test_reports_before_an_error_are_told_and_then_the_error(monkeypatch, function, epochs, text, ends):
    monkeypatch.setattr(ray_trial, "REPORT_EVERY_S", math.inf)
    trial = ray_trial.TorchTrial(loop_job(function, epochs))
    *reports, last = trial.step()["report"]
    assert [report["epoch"] for report in reports] == [1, 2, 3]
    assert text in last["error"]
    assert last["place"].partition(" at ")[2].startswith("tests/orchestrator/own_loops.py:")
    assert last["ends"] is ends
    if ends:
        with pytest.raises(RuntimeError, match="the process ends"):
            trial.step()
