"""Sweeps over a training loop of the user's own, on a real Ray."""

import math
from datetime import date

import numpy as np
import pytest

from orchestrator import SweepError, resume, run
from orchestrator.columns import read_table
from orchestrator.simulation.curve_files import load_curves
from tests.any_value import identical
from tests.orchestrator.folders import make_folder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


@pytest.fixture
def climbing(tiny, tmp_path):
    """A sweep of `climb`: the higher its step, the better a trial."""

    def make(*steps, loop="climb", arguments=None, **changes):
        train = {
            "loop": f"tests.orchestrator.own_loops:{loop}",
            "arguments": {"log": str(tmp_path), **(arguments or {})},
            "epochs": 4,
        }
        values = {
            "space": {"parameters": {"step": {"choice": list(steps)}}},
            "search": {"name": "grid"},
            "metric": "height",
            "train": train,
        }
        return tiny(**{**values, **changes})

    return make


def trained(folder, trial):
    return [int(line) for line in (folder / f"{trial}-trained").read_text().split()]


def test_reports_are_epochs_for_asha_and_a_stopped_loop_ends_cleanly(climbing, tmp_path):
    result = run(climbing(3.0, 1.0, 1.5), quiet=True)
    trials = result.trials().set_index("trial")
    assert dict(trials["status"]) == {"0001": "completed", "0002": "stopped", "0003": "stopped"}
    assert list(trials["height"]) == [12.0, 1.0, 1.5]
    assert list(trials["epochs"]) == [4, 1, 1]
    assert [trained(tmp_path, trial) for trial in trials.index] == [[1, 2, 3, 4], [1], [1]]
    assert all((tmp_path / f"{trial}-ended").exists() for trial in trials.index)
    epochs = result.epochs()
    assert list(epochs.columns[:5]) == ["trial", "epoch", "height", "seed", "seconds"]
    assert set(epochs["seed"]) == {0}
    assert load_curves(result.folder, mode="max").best == -12.0


def test_a_loop_whose_process_dies_goes_on_from_what_it_saved(climbing, tmp_path):
    result = run(climbing(1.0, arguments={"breaks": True}, asha=None), quiet=True)
    assert list(result.trials()["status"]) == ["completed"]
    assert "ended by signal KILL" in result.record().trials["0001"].faults[0]
    assert list(result.epochs()["height"]) == [1.0, 2.0, 3.0, 4.0]
    assert trained(tmp_path, "0001") == [1, 2, 3, 3, 4]


def test_a_run_with_an_own_loop_is_prolonged(climbing, tmp_path):
    first = run(climbing(1.0, 2.0, asha=None), quiet=True)
    after = resume(first.folder, {"space": {"parameters": {"step": {"choice": [1.0, 2.0, 3.0]}}}}, quiet=True)
    assert list(after.trials()["height"]) == [4.0, 8.0, 12.0]
    assert trained(tmp_path, "0002") == [1, 2, 3, 4]


def test_what_a_loop_does_wrong_fails_its_trial_with_the_rule(climbing):
    trials = run(climbing(1, 2, 3, loop="careless", asha=None, faults={"retries": 0}), quiet=True).trials()
    assert list(trials["status"]) == ["failed", "failed", "completed"]
    assert "report() must be given the metric height, but got hight" in trials["error"][0]
    assert "two is bad luck" in trials["error"][1]
    assert list(trials["epochs"]) == [0, 0, 1]


def test_a_loop_that_cannot_be_found_is_an_error_before_anything_starts(climbing):
    sweep = climbing(1.0, loop="clim")
    with pytest.raises(SweepError, match=r"train\.loop: .* has no 'clim'; did you mean 'climb'"):
        run(sweep, quiet=True)
    assert not sweep.folder.exists()


def test_values_reach_every_attempt_and_come_back_from_the_run(climbing, tmp_path):
    options = [True, None, 2, "2", 0.5, [16, 32], (16, 32), {"k": {0: date(2020, 1, 31)}}, {"grid_search": [1]}]
    arguments = {"clip": math.inf, "weights": {0: 1.0, "0": 2.5}, "optimizer": {"name": "sgd"}, "k": np.int64(3)}

    sweep = climbing(*options, loop="pops_and_tells", arguments=arguments, metric="loss", mode="min", asha=None)
    make_folder(sweep)
    result = run(sweep, replace=True, quiet=True)
    trials = result.trials()
    assert identical([*trials["config.step"]], options)
    assert set(trials["status"]) == {"completed"}
    assert set(trials["faults"]) == {1}
    assert identical([*result.configs().sort_values("trial")["config.step"]], options)
    assert identical([*read_table(result.folder / "trials.parquet")["config.step"]], options)
    told = {path.name: path.read_text() for path in tmp_path.glob("*-told")}
    given = {"clip": math.inf, "weights": {0: 1.0, "0": 2.5}, "optimizer": {"name": "sgd"}, "k": 3}
    for number, option in enumerate(options, 1):
        attempts = told[f"{number:04d}-told"].splitlines()
        assert attempts == [repr({"log": str(tmp_path), **given, "step": option})] * 2
