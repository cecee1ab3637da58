"""The benchmarks of searches that run in the simulator, and the curves they run on."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import record_curves, search_fidelity, search_scale
from orchestrator.searchers import Observation
from orchestrator.simulation.curve_files import load_curves
from search_spaces import Choice, Grid, LogInt, Space, Uniform, load_space

SPACE = Space({"x": Uniform(0.0, 1.0), "width": LogInt(8, 64), "size": Grid((16, 32)), "kind": Choice(("a", "b"))})


def test_the_recorded_curves_are_of_the_space_and_differ_enough():
    curves = load_curves(record_curves.CURVES, space=load_space(record_curves.SPACE), metric="val_loss")
    table = pd.read_parquet(record_curves.CURVES)
    assert len(curves) == table["trial"].nunique() >= 300
    assert (curves.epochs, len(curves.space)) == (27, 6)
    assert record_curves.CURVES.stat().st_size < 300_000
    good = [min(curve.losses) <= curves.best + 0.05 * curves.scale for curve in curves.curves if curve.losses]
    assert 0 < np.mean(good) < 0.03


def test_recording_goes_on_where_it_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(record_curves, "SHARED", {**record_curves.SHARED, "epochs": 2})
    monkeypatch.setattr(record_curves, "_SAVE_EVERY", 1)
    for name, counts in (("parts", (1, 2)), ("whole", (2,))):
        for count in counts:
            record_curves.main(Namespace(count=count, out=tmp_path / f"{name}.parquet"))
    parts, whole = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("parts", "whole"))
    assert parts["trial"].tolist() == [0, 0, 1, 1]
    pd.testing.assert_frame_equal(parts.drop(columns="seconds"), whole.drop(columns="seconds"))


def test_tpe_hears_the_last_result_of_a_trial_that_is_over():
    pytest.importorskip("optuna", reason="the extra `bench` is not installed")
    from benchmarks.tpe import Tpe

    searcher = Tpe(SPACE, 0)
    first, second = searcher.suggest([], []), searcher.suggest([], [])
    SPACE.validate(first)
    done = [Observation(config=first, loss=0.5, curve=(0.5, 0.7)), Observation(config=second, loss=0.1, curve=(0.1,))]
    searcher.suggest(done, [second])
    searcher.suggest([done[0], Observation(config=second, loss=float("nan"))], [])
    states = [(trial.state.name, trial.value) for trial in searcher.study.trials]
    assert states == [("COMPLETE", 0.7), ("FAIL", None), ("RUNNING", None), ("RUNNING", None)]


def test_the_ratio_is_to_the_best_of_the_peers():
    seconds = {"bayes": [1.0, 3.0], "TPE": [4.0, 4.0], "random": [20.0, 8.0]}
    by_name = {figure.name: figure for figure in search_fidelity.figures(seconds, search_fidelity.HORIZON)}
    ratio = by_name["ours to the best peer"]
    assert (ratio.value, ratio.holds) == (0.5, True)
    assert by_name["random: searches that reached it"].value == 1
    assert by_name["ours to random, ratio of means"].value == pytest.approx(2 / 14)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_scale_is_measured_end_to_end(tmp_path):
    sizes = {"workers": 20, "trials": 60, "epoch_seconds": 60.0, "short": False}
    file = tmp_path / "figures.json"
    search_scale.main(Namespace(search="random", curves=record_curves.CURVES, json=file, **sizes))
    values = {row["name"]: row["value"] for row in json.loads(file.read_text())["figures"]}
    assert values["trials"] == 60
    assert 0 < values["idle share of workers, waiting for proposals"] < 0.05
    assert values["simulated hours"] > 60 / 20 * 60 / 3600


def test_a_watched_searcher_proposes_as_it_would_unwatched():
    watched = search_scale.Watched(search_scale.make_searcher("random", SPACE, 0))
    assert watched.suggest([], []) == search_scale.make_searcher("random", SPACE, 0).suggest([], [])
    assert len(watched.seconds) == len(watched.memory) == 1
