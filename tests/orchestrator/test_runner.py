"""Whole sweeps on a real Ray: what is recorded, what is repeatable, and what does not stop them."""

import shutil

import pandas as pd
import pytest

from orchestrator import SweepError, open_run, resume, run
from orchestrator.journal import Journal

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

METRICS = ["epoch", "train_loss", "val_loss", "val_accuracy", "lr"]


def models(*hidden, name="Touchy"):
    return {
        "space": {"parameters": {"model.hidden": {"grid": list(hidden)}}},
        "search": {"name": "grid"},
        "asha": None,
        "train": {"model": {"name": f"tests.orchestrator.own_models:{name}"}, "epochs": 2},
    }


def test_the_same_seed_gives_the_same_trials_and_metrics(tiny):
    first = run(tiny(name="first", search={"name": "bayes", "trials": 4}), quiet=True)
    second = run(tiny(name="second", search={"name": "bayes", "trials": 4}), quiet=True)
    configs = [name for name in first.trials() if name.startswith("config.")]
    columns = ["trial", "status", "epochs", "val_accuracy", *configs]
    pd.testing.assert_frame_equal(first.trials()[columns], second.trials()[columns])
    pd.testing.assert_frame_equal(first.epochs()[METRICS], second.epochs()[METRICS])


def test_a_grid_is_run_exactly_each_point_once(tiny):
    space = {"parameters": {"model.width": {"grid": [8, 16, 24]}, "optimizer.name": {"choice": ["sgd", "adam"]}}}
    sweep = tiny(space=space, search={"name": "grid"}, asha=None, concurrent=2)
    trials = run(sweep, quiet=True).trials()
    points = list(zip(trials["config.model.width"], trials["config.optimizer.name"], strict=True))
    assert points == [(width, name) for width in (8, 16, 24) for name in ("sgd", "adam")]
    assert set(trials["status"]) == {"completed"}
    assert set(trials["epochs"]) == {4}


def test_asha_stops_trials_at_rungs_only(tiny):
    trials = run(tiny(search={"name": "random", "trials": 8}), quiet=True).trials()
    stopped = trials[trials["status"] == "stopped"]
    assert len(stopped) >= 2
    assert set(stopped["epochs"]) <= {1, 2}
    assert set(trials[trials["status"] == "completed"]["epochs"]) == {4}


def test_a_trial_that_breaks_is_recorded_and_the_sweep_goes_on(tiny):
    trials = run(tiny(**models(5, 7, 13, 16), concurrent=2), quiet=True).trials().set_index("config.model.hidden")
    assert dict(trials["status"]) == {5: "failed", 7: "failed", 13: "failed", 16: "completed"}
    assert "thirteen is bad luck" in trials.loc[13, "error"]
    assert "not finite in epoch 1" in trials.loc[7, "error"]
    assert "process ended " in trials.loc[5, "error"]


def test_two_workers_train_as_one_does(tiny):
    one = run(tiny(name="one", **models(16, 24, name="Linear")), quiet=True)
    two = run(tiny(name="two", **models(16, 24, name="Linear"), workers={"count": 2}), quiet=True)
    pd.testing.assert_frame_equal(one.epochs()[METRICS], two.epochs()[METRICS], atol=1e-5)


def test_a_dead_rank_fails_its_trial_and_frees_the_rest(tiny):
    trials = run(tiny(**models(5, 16), workers={"count": 2}), quiet=True).trials()
    assert list(trials["status"]) == ["failed", "completed"]
    assert "process ended " in trials["error"][0]


def test_a_model_cut_into_stages_trains_as_one_does(tiny):
    one = run(tiny(name="one", **models(16, name="Stack")), quiet=True)
    sweep = models(16, name="Stack")
    sweep["train"]["parallel"] = {"stages": 2, "schedule": "1f1b"}
    two = run(tiny(name="two", **sweep, workers={"count": 2}), quiet=True)
    pd.testing.assert_frame_equal(one.epochs()[METRICS], two.epochs()[METRICS], atol=1e-5)


def test_a_dead_stage_fails_its_trial_at_once_and_another_attempt_makes_it_good(tiny, tmp_path):
    sweep = models(16, name="Stack")
    sweep["train"] |= {"parallel": {"stages": 2}, "epochs": 4}
    sweep["train"]["model"]["marker"] = str(tmp_path / "broken")
    result = run(tiny(**sweep, workers={"count": 2}), quiet=True)
    assert list(result.trials()["status"]) == ["completed"]
    assert "process ended " in result.record().trials["0001"].faults[0]
    assert list(result.epochs()["epoch"]) == [1, 2, 3, 4]


def test_a_model_trained_in_stages_is_compressed_whole(tiny):
    sweep = {
        "train": {"model": {"name": "mlp"}, "epochs": 2, "parallel": {"stages": 2}},
        "search": {"name": "random", "trials": 1},
        "compress": {"best": 1, "keep_macs": [0.5], "epochs": 1, "int8": False},
    }
    models = run(tiny(**sweep, workers={"count": 2}), quiet=True).models()
    assert list(models["status"]) == ["ok", "ok"]


def test_more_stages_than_layers_fail_the_trial_with_the_setting(tiny):
    sweep = models(16, name="Stack")
    sweep["train"]["parallel"] = {"stages": 3}
    trials = run(tiny(**sweep, workers={"count": 3}), quiet=True).trials()
    assert "parallel.stages: must be at most the number of layers" in trials["error"][0]


def test_the_best_are_compressed_and_compared_with_their_parents(tiny):
    compress = {"best": 1, "keep_macs": [0.5], "epochs": 1}
    result = run(tiny(search={"name": "random", "trials": 2}, compress=compress), quiet=True)
    trial = result.best().iloc[0]["trial"]
    table = result.models().set_index("id")
    dense, pruned = f"{trial}-dense", f"{trial}-student-0001"
    assert set(table.index) == {dense, pruned, f"{dense}-int8", f"{pruned}-int8"}
    assert set(table["parent"]) == {trial}
    assert (table.loc[[dense, pruned], "status"] == "ok").all()
    assert table.loc[pruned, "macs"] <= 0.55 * table.loc[dense, "macs"]
    assert (table[["test_accuracy", "latency_1_median_ms", "latency_32_median_ms", "bytes"]] > 0).all(axis=None)
    assert table.loc[pruned, "control_test"] > 0
    assert all((result.folder / path).is_file() for path in table["path"])


def test_guesses_repeats_and_earlier_runs_in_one_sweep_that_is_resumed(tiny):
    """The earlier run is deleted before the resume: what was learned of it is in the journal."""
    earlier = run(tiny(name="earlier", search={"name": "random", "trials": 2}), quiet=True)
    space = {
        "parameters": {"optimizer.lr": {"log_uniform": [1e-4, 0.5]}, "model.depth": {"int": [1, 2]}, "model.width": 8},
        "constraints": ["model.depth == 1 or optimizer.lr < 0.1"],
    }
    narrow = {"parameters": {"optimizer.lr": {"log_uniform": [1e-4, 0.5]}}, "constraints": ["optimizer.lr < 0.4"]}
    search = {"name": "bayes", "repeats": 2, "warm_start": [str(earlier.folder)]}
    first = run(tiny(name="narrow", space=narrow, search={**search, "trials": 1}, asha=None), quiet=True)
    assert first.record().prior[str(earlier.folder)][0].config.keys() == {"optimizer.lr"}
    guess = {"optimizer.lr": 0.3, "model.depth": 1}
    shutil.rmtree(earlier.folder)
    with pytest.raises(SweepError, match=r"search\.warm_start: .*earlier: "):
        run(tiny(name="gone", space=narrow, search={**search, "trials": 1}), quiet=True)
    result = resume(first.folder, {"search": {"trials": 4, "start": [guess]}, "space": space}, quiet=True)
    trials = result.trials()
    assert list(trials["repeat"]) == [0, 1, 0, 1]
    assert trials["config.optimizer.lr"][2] == trials["config.optimizer.lr"][3] == 0.3
    assert trials["val_loss"][2] != trials["val_loss"][3]
    assert list(result.configs()["repeats"]) == [2, 2]


def test_tables_on_disk_are_those_of_the_run(tiny):
    result = run(tiny(search={"name": "random", "trials": 2}), quiet=True)
    pd.testing.assert_frame_equal(pd.read_parquet(result.folder / "trials.parquet"), result.trials())
    pd.testing.assert_frame_equal(pd.read_parquet(result.folder / "epochs.parquet"), result.epochs())
    assert open_run(result.folder).sweep == result.sweep


def test_a_proposal_is_in_the_journal_before_its_trial_starts(tiny):
    folder = run(tiny(search={"name": "random", "trials": 2}), quiet=True).folder
    seen = [(event.get("trial"), event["event"]) for event in Journal(folder / "journal").read()]
    for trial in ("0001", "0002"):
        assert [kind for name, kind in seen if name == trial][:3] == ["propose", "start", "epoch"]


def test_more_workers_than_the_cluster_has_is_an_error_before_anything_starts(tiny):
    sweep = tiny(workers={"count": 16})
    with pytest.raises(SweepError, match="16 of them want 16 CPUs and the cluster has 4"):
        run(sweep, quiet=True)
    assert not sweep.folder.exists()


def test_a_run_is_not_overwritten_unasked(tiny):
    sweep = tiny(search={"name": "random", "trials": 1})
    run(sweep, quiet=True)
    with pytest.raises(SweepError, match="a run named 'tiny' already exists in"):
        run(sweep, quiet=True)
    assert len(run(sweep, quiet=True, replace=True).trials()) == 1
