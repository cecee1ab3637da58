"""Figures are counted twice: by the project, and from the journal's lines by other code."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from orchestrator.analysis import savings
from orchestrator.errors import SweepError
from orchestrator.run_folder import open_run
from orchestrator.searchers import GridSearcher
from orchestrator.simulation.curve_files import load_curves
from orchestrator.simulation.regret import improvements
from orchestrator.simulation.simulator import Simulation, simulate
from tests.orchestrator import recount
from tests.orchestrator.crafted import random_run

SEEDS = range(24)


@pytest.fixture(scope="module", params=SEEDS)
def crafted(request, tmp_path_factory):
    """A run and its events."""
    folder = tmp_path_factory.mktemp("crafted")
    sweep = random_run(request.param, folder)
    return open_run(sweep.folder), recount.lines(Path(sweep.folder))


def test_trials_epochs_and_models(crafted):
    run, events = crafted
    metric, mode = run.sweep.metric, run.sweep.mode
    known = recount.trials(events, metric, mode)
    table = run.trials()
    assert table["trial"].tolist() == list(known)
    assert table["status"].tolist() == [trial["status"] for trial in known.values()]
    assert table["epochs"].tolist() == [len(trial["values"]) for trial in known.values()]
    assert table["best_epoch"].tolist() == [trial["best_epoch"] for trial in known.values()]
    best = [trial["best"] for trial in known.values()]
    assert [None if pd.isna(value) else value for value in table.get(metric, [])] == (best if len(table) else [])
    epochs = run.epochs()
    assert epochs[metric].tolist() == [e["metrics"][metric] for e in _by_trial(events, "epoch")]
    assert set(run.models().get("id", [])) == {e["row"]["id"] for e in events if e["event"] == "model"}
    results = [trial["best"] for trial in known.values() if trial["status"] != "failed" and trial["best"] is not None]
    best_of_all = [max(results) if mode == "max" else min(results)] if results else []
    assert run.best()[metric].tolist() == best_of_all


def test_configurations(crafted):
    run, events = crafted
    repeats: dict[str, list[float]] = {}
    for trial in recount.trials(events, run.sweep.metric, run.sweep.mode).values():
        if trial["status"] == "completed":
            repeats.setdefault(str(sorted(trial["config"].items())), []).append(trial["best"])
    means = sorted(sum(values) / len(values) for values in repeats.values())
    table = run.configs()
    expected = means if run.sweep.mode == "min" else means[::-1]
    assert table["mean"].tolist() == pytest.approx(expected)
    assert sorted(table["repeats"]) == sorted(map(len, repeats.values()))


def test_what_asha_saved(crafted):
    run, events = crafted
    known = recount.trials(events, run.sweep.metric, run.sweep.mode)
    stopped = recount.stopped_by_asha(events, run.sweep.metric, run.sweep.mode) if run.sweep.asha else set()
    saved = sum(known[name]["config"].get("epochs", 9) - len(known[name]["values"]) for name in stopped)
    trained = sum(len(trial["values"]) for trial in known.values())
    told = savings(run.record(), run.sweep.epochs_of)
    assert (told["stopped"], told["epochs_saved"], told["epochs_trained"]) == (len(stopped), saved, trained)
    ended = sum(trial["status"] == "stopped" for trial in known.values())
    assert told["limited"] == ended - len(stopped)


def test_shares_of_the_workers_time_and_elapsed(crafted):
    run, events = crafted
    shares = run.efficiency()
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    expected = recount.shares(events)
    assert {name: shares[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert run.elapsed() == pytest.approx(recount.elapsed(events), abs=1e-3)


def test_limits_are_reached_when_they_are(crafted):
    """Up to each event of a session in which no limit had been written down, none was reached, and none missed."""
    run, events = crafted
    sweep = run.sweep
    for index, event in enumerate(events):
        reached = recount.limits_reached(events[: index + 1], sweep.limits, sweep.metric, sweep.mode)
        written = _limit_before(events[: index + 1])
        if event["event"] == "propose":
            assert not written
            assert set(recount.limits_reached(events[:index], sweep.limits, sweep.metric, sweep.mode)) <= {"minutes"}
        if event["event"] == "limit" and not event.get("gave_up") and event["reason"]:
            assert any(f"limits.{name}" in event["reason"] for name in reached)


def _limit_before(events):
    """The limit in force: written in the last session, and not lifted."""
    last = max(index for index, event in enumerate(events) if event["event"] == "session")
    limits = [event["reason"] for event in events[last:] if event["event"] == "limit"]
    return limits[-1] if limits else ""


def _by_trial(events, kind):
    return sorted((event for event in events if event["event"] == kind), key=lambda event: event["trial"])


@pytest.mark.parametrize("seed", range(20))
def test_simulated_regret(seed, tmp_path):
    """Of a search through the grid by one worker: its improvements, when, and nothing left at the end."""
    space = {"parameters": {"x": {"grid": [0, 1, 2, 3, 4]}}}
    search = {"name": "random", "trials": 20, "repeats": 3}
    sweep = random_run(seed, tmp_path, space=space, search=search, limits={})
    events = recount.lines(Path(sweep.folder))
    curves = recount.mean_curves(events, sweep.metric, sweep.mode)
    if all(curve["failed"] for curve in curves.values()):
        with pytest.raises(SweepError, match="must hold the curve of a trial that did not fail"):
            load_curves(sweep.folder)
        return
    known = load_curves(sweep.folder)
    simulation = Simulation(workers=1, trials=None, epochs=known.epochs, asha=None)
    outcome = simulate(simulation, known, GridSearcher(known.space))
    table = improvements({"grid": [outcome]}, known)
    counted = recount.grid_regret(curves, [0, 1, 2, 3, 4])
    assert list(zip(table["seconds"], table["regret"], strict=True)) == [
        (pytest.approx(second), pytest.approx(regret, abs=1e-9)) for second, regret in counted
    ]
    assert (table["regret"] >= 0).all()
    assert table["regret"].iloc[-1] == 0
