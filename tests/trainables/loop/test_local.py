"""The in-process twin: what it prints, takes, refuses and saves."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainables import CheckpointError
from trainables.loop import RESERVED, LocalTrial, LoopError, LoopStopped, find_loop


@pytest.fixture
def loops(own_modules: None) -> ModuleType:
    module = importlib.import_module("own_loops")
    module.SEEN.clear()
    return module


def test_it_prints_what_a_loop_reports_and_keeps_it(loops: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    trial = LocalTrial(epochs=2)
    loops.descend({"lr": 0.25}, trial)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in lines] == ["epoch 1: loss 16, at 4", "epoch 2: loss 4, at 2"]
    assert [(epoch["epoch"], epoch["loss"], epoch["at"]) for epoch in trial.reports] == [(1, 16.0, 4.0), (2, 4.0, 2.0)]
    assert all(epoch["seconds"] >= 0 for epoch in trial.reports)


def test_a_loop_goes_on_from_what_was_saved_in_the_folder(loops: ModuleType, tmp_path: Path) -> None:
    whole, first = LocalTrial(epochs=5, quiet=True), LocalTrial(epochs=2, folder=tmp_path, quiet=True)
    loops.descend({"lr": 0.25}, whole)
    loops.descend({"lr": 0.25}, first)
    rest = LocalTrial(epochs=5, folder=tmp_path, quiet=True)
    loops.SEEN.clear()
    loops.descend({"lr": 0.25}, rest)
    assert loops.SEEN[0] == ("begins", 2)
    assert [epoch["loss"] for epoch in rest.reports] == [epoch["loss"] for epoch in whole.reports]
    assert [epoch["epoch"] for epoch in rest.reports] == [1, 2, 3, 4, 5]


def test_without_a_folder_it_saves_in_memory() -> None:
    trial, weights = LocalTrial(quiet=True), torch.ones(2)
    assert trial.load() is None
    trial.save({"weights": weights, "best": (1.5, None), "order": OrderedDict(a=[1])})
    weights += 1  # training goes on
    trial.report(loss=1)
    saved = trial.load()
    assert saved["weights"].tolist() == [1.0, 1.0]
    assert saved["best"] == (1.5, None)
    assert saved["order"] == {"a": [1]}


def test_what_is_saved_belongs_to_the_report_that_follows(tmp_path: Path) -> None:
    trial = LocalTrial(folder=tmp_path, quiet=True)
    trial.save({"epoch": 1})
    assert not list(tmp_path.iterdir())
    trial.report(loss=3.0)
    again = LocalTrial(folder=tmp_path, quiet=True)
    assert again.load() == {"epoch": 1}
    again.report(loss=2.0)
    assert [epoch["loss"] for epoch in again.reports] == [3.0, 2.0]


def test_model_and_optimiser_can_be_saved_as_they_are(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(3, 2)).sum().backward()
    optimizer.step()
    trial = LocalTrial(folder=tmp_path, quiet=True)
    trial.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()})
    trial.report(loss=1.0)
    saved = LocalTrial(folder=tmp_path).load()
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])


def test_a_report_after_the_last_epoch_ends_the_loop(loops: ModuleType) -> None:
    trial = LocalTrial(epochs=3, quiet=True)
    with pytest.raises(LoopStopped):
        loops.forgetful({}, trial)
    assert len(trial.reports) == 3


@pytest.mark.parametrize(
    ("value", "kept"),
    [(1, 1), (0.5, 0.5), (True, True), (np.float32(0.5), 0.5), (torch.tensor([0.5]), 0.5), (float("nan"), None)],
)
def test_numbers_of_every_kind_may_be_reported(value: Any, kept: Any) -> None:
    trial = LocalTrial(quiet=True)
    trial.report(value=value)
    assert trial.reports[0]["value"] == kept
    assert type(trial.reports[0]["value"]) in (int, float, bool, type(None))


def test_a_whole_number_that_no_table_holds_is_kept_as_a_float() -> None:
    trial = LocalTrial(quiet=True)
    with pytest.warns(UserWarning, match="cells is a whole number of more than 63 bits"):
        trial.report(cells=2**70)
    assert trial.reports[0]["cells"] == 2.0**70


def test_metrics_may_have_the_names_of_a_reports_own_parts() -> None:
    trial = LocalTrial(quiet=True)
    trial.report(**{"epoch": 7, "seconds": -1, "metrics": 3, "self": 4, "metric.x": 5})
    (report,) = trial.reports
    assert report["seconds"] >= 0
    assert {name: value for name, value in report.items() if name != "seconds"} == {
        **{"epoch": 1, "metric.epoch": 7, "metric.seconds": -1, "metrics": 3, "self": 4, "metric.metric.x": 5}
    }


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"accuracy": 1.0}, "must be given the metric val_accuracy, but got accuracy"),
        ({}, "must be given the metric val_accuracy, but got nothing"),
        ({"val_accuracy": float("inf")}, "must be given a finite val_accuracy, but got inf"),
        ({"val_accuracy": 1.0, "text": "good"}, "must be given numbers, but got a str for text"),
        ({"val_accuracy": torch.ones(2)}, "must be given numbers, but got a Tensor for val_accuracy"),
        (
            {"val_accuracy": 1.0, "huge": 2**2000},
            "must be given numbers that fit a float, but got a whole number of 2001",
        ),
        ({"val_accuracy": 1.0, "\udce9": 1, "\\udce9": 2}, "must be given names that differ as text"),
    ],
)
def test_a_report_that_a_sweep_could_not_take_is_refused(metrics: dict[str, Any], message: str) -> None:
    with pytest.raises(LoopError, match=message):
        LocalTrial(metric="val_accuracy", quiet=True).report(**metrics)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"model": nn.Linear(1, 1)}, r"state\['model'\] is a torch.nn.modules.linear.Linear"),
        ({"a": [1, np.zeros(2)]}, r"state\['a'\]\[1\] is a numpy.ndarray"),
        ({"loss": np.float64(1.0)}, r"state\['loss'\] is a numpy.float64"),
    ],
)
def test_what_would_need_code_to_be_read_is_not_saved(state: dict[str, Any], message: str) -> None:
    with pytest.raises(LoopError, match=f"must be given dicts, lists, numbers, text and tensors, but {message}"):
        LocalTrial().save(state)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    trial = LocalTrial(folder=tmp_path, quiet=True)
    trial.save({})
    trial.report(loss=1.0)
    with pytest.raises(CheckpointError, match=r"last\.pt was made with another seed"):
        LocalTrial(folder=tmp_path, seed=1)
    (tmp_path / "last.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is not a whole checkpoint"):
        LocalTrial(folder=tmp_path)


def test_the_example_learns_and_goes_on(tmp_path: Path) -> None:
    train = find_loop("examples.own_loop:train")
    config = {"lr": 0.3, "momentum": 0.9, "decay": 0.0, "batch_size": 64}
    whole = LocalTrial(epochs=3, quiet=True, metric="accuracy")
    train(config, whole)
    for epochs in (1, 3):
        trial = LocalTrial(epochs=epochs, folder=tmp_path, quiet=True)
        train(config, trial)
    assert whole.reports[-1]["accuracy"] > 0.85
    assert [epoch["loss"] for epoch in trial.reports] == [epoch["loss"] for epoch in whole.reports]


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_loops", r"must be 'package\.module:name', but got 'own_loops'"),
        ("own_lops:short", "'own_lops:short' cannot be imported: ModuleNotFoundError"),
        ("own_loops:shot", "own_loops has no 'shot'; did you mean 'short'"),
        ("own_loops:NOT_A_LOOP", "must name a function, but 'own_loops:NOT_A_LOOP' is of type int"),
        ("own_loops:of_one", r"must name a function of \(config, trial\), but 'own_loops:of_one': too many"),
        ("own_loops:yields", "must name a plain function, .* but 'own_loops:yields' has yield or async"),
        ("own_loops:waits", "must name a plain function, .* but 'own_loops:waits' has yield or async"),
    ],
)
def test_a_loop_that_cannot_be_called_is_refused(name: str, message: str) -> None:
    with pytest.raises(LoopError, match=message):
        find_loop(name)


def test_reserved_names_are_those_that_a_runs_tables_use() -> None:
    from orchestrator.tables import AFTER, BEFORE

    assert {*BEFORE, *AFTER, "epoch", "seconds"} == RESERVED
