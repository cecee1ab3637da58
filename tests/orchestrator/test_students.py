"""The search for students: towards a front, controls last, and by a run of its own inside the run."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pareto import ranks, share_that_beats
from orchestrator.record import Record
from orchestrator.scheduling import Asha
from orchestrator.searchers import Observation, RandomSearcher, make_searcher
from orchestrator.searchers.front import TowardsFront
from orchestrator.stage import StageConfig
from orchestrator.students import chosen, control_of, student_searcher, student_sweep
from search_spaces import LogUniform, Space, Uniform

POINTS = st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 2), max_size=30)


def beats(one, other):
    return one[0] <= other[0] and one[1] <= other[1] and one != other


@given(POINTS)
def test_a_point_is_on_the_front_after_the_last_that_beats_it(points):
    found = ranks(points)
    for point, rank in zip(points, found, strict=True):
        ahead = [r for other, r in zip(points, found, strict=True) if beats(other, point)]
        assert rank == max(ahead, default=-1) + 1


@given(POINTS, st.tuples(*[st.integers(0, 6).map(float)] * 2))
def test_the_share_that_beats_a_point_is_counted(points, point):
    expected = sum(beats(other, point) for other in points) / len(points) if points else 0.0
    assert share_that_beats(points, point) == pytest.approx(expected)


def test_what_has_no_number_is_beaten_by_all_that_have():
    assert ranks([(math.nan, 1.0), (1.0, 1.0)]) == [1, 0]


def seen(config, loss, share, complete=True):
    return Observation(config=config, loss=loss, share=share, budget=3, curve=(loss,), complete=complete)


class Told:
    """Notes the observations that it is asked with."""

    def suggest(self, done, pending):
        self.done = list(done)
        return {"x": 0.5}


def test_a_searcher_is_told_weighted_means_of_two_aims_that_keep_the_better_of_both_ahead():
    told = Told()
    known = [seen({"x": float(n)}, loss, share) for n, (loss, share) in enumerate([(1, 0.9), (2, 0.5), (3, 0.95)])]
    failed = seen({"x": 9.0}, math.nan, math.nan)
    orders = set()
    for count in range(20):
        pending = [{"x": -1.0 - n} for n in range(count)]
        TowardsFront(told, 0).suggest([*known, failed], pending)
        losses = [shown.loss for shown in told.done[:3]]
        assert losses[2] > losses[0]  # beaten in both by the first
        assert [shown.curve for shown in told.done[:3]] == [(loss,) for loss in losses]
        assert math.isnan(told.done[3].loss)
        orders.add(losses[0] < losses[1])
    assert orders == {True, False}


def test_the_front_is_covered_where_one_aim_alone_would_not_be():
    """Two aims that pull against each other along x: proposals cover the range, the same seed the same ones."""
    space = Space({"x": Uniform(0.0, 1.0), "y": LogUniform(1e-3, 1.0)})

    def proposals():
        searcher, done = TowardsFront(make_searcher("bayes", space, 0), 0), []
        for _ in range(24):
            config = searcher.suggest(done, [])
            done.append(seen(config, (1 - config["x"]) ** 2 + config["y"], config["x"] + config["y"]))
        return done

    done = proposals()
    assert done == proposals()
    good = [shown.config["x"] for shown in done if shown.config["y"] < 0.05]
    assert len(np.unique(np.digitize(good, [0.25, 0.5, 0.75]))) == 4


STAGE = {"keep_macs": [0.5, 0.25], "epochs": 3}


def students(tiny, tmp_path, stage, parents=("0002", "0001")):
    stage = StageConfig.model_validate(stage)
    return stage, student_sweep(tiny(), stage, parents, tmp_path)


def test_students_of_a_grid_are_each_parents_sizes_and_then_their_controls(tiny, tmp_path):
    stage, sweep = students(tiny, tmp_path, STAGE)
    searcher, done = student_searcher(sweep, stage), []
    while (config := searcher.suggest(done, [])) is not None:
        done.append(seen(config, 0.1, config["keep_macs"]))
    grid = [(parent, keep) for parent in ("0002", "0001") for keep in (0.5, 0.25)]
    plain = [one.config for one in done if "control" not in one.config]
    assert [(config["parent"], config["keep_macs"]) for config in plain] == grid
    assert plain == [one.config for one in done[:4]]
    assert sorted(map(str, (one.config for one in done[4:]))) == sorted(str({**c, "control": True}) for c in plain)
    assert sweep.trial_config(done[4].config).student.loss == "cross_entropy"
    assert sweep.trial_config(done[0].config).student.loss == "kl"


def test_a_search_starts_as_asked_with_students_of_the_best_parent(tiny, tmp_path):
    search = {"name": "bayes", "trials": 3, "start": [{"keep_macs": 0.3}, {"keep_macs": 0.4, "parent": "0001"}]}
    space = {"parameters": {"keep_macs": {"uniform": [0.1, 0.9]}}}
    stage, sweep = students(tiny, tmp_path, {"space": space, "search": search})
    searcher = student_searcher(sweep, stage)
    first = searcher.suggest([], [])
    assert first == {"parent": "0002", "keep_macs": 0.3}
    assert searcher.suggest([], [first]) == {"parent": "0001", "keep_macs": 0.4}


def test_controls_wait_for_the_students_under_way(tiny, tmp_path):
    stage, sweep = students(tiny, tmp_path, {"keep_macs": [0.5, 0.25], "best": 1}, parents=("0001",))
    searcher = student_searcher(sweep, stage)
    half = searcher.suggest([], [])
    quarter = searcher.suggest([], [half])
    assert searcher.suggest([seen(half, 0.1, 0.5)], [quarter]) is None
    done = [seen(half, 0.1, 0.5), seen(quarter, math.nan, math.nan)]
    assert searcher.suggest(done, []) == {**half, "control": True}
    assert searcher.suggest(done, [{**half, "control": True}]) is None


def test_what_learns_without_a_teacher_has_no_control(tiny, tmp_path):
    space = {"parameters": {"loss": {"choice": ["kl", "cross_entropy"]}}}
    stage, sweep = students(tiny, tmp_path, {"space": space, "search": {"name": "grid"}}, parents=("0001",))
    searcher, done = student_searcher(sweep, stage), []
    while (config := searcher.suggest(done, [])) is not None:
        done.append(seen(config, 0.1, 0.5))
    assert [one.config["loss"] for one in done] == ["kl", "cross_entropy", "kl"]


def test_a_search_has_its_number_of_students_and_the_front_has_controls(tiny, tmp_path):
    space = {"parameters": {"keep_macs": {"uniform": [0.1, 0.9]}, "lr": {"log_uniform": [1e-3, 0.1]}}}
    stage, sweep = students(
        tiny, tmp_path, {"space": space, "search": {"name": "random", "trials": 6}, "models": 2}, ("0001",)
    )
    searcher, done = student_searcher(sweep, stage), []
    while (config := searcher.suggest(done, [])) is not None:
        done.append(seen(config, 1 - config["keep_macs"], config["keep_macs"] + len(done) // 3))
    plain, controls = done[:6], done[6:]
    assert not any("control" in one.config for one in plain)
    assert len(controls) == 2
    best = ranks([(one.loss, one.share) for one in plain])
    kept = [{**one.config, "control": True} for one, rank in zip(plain, best, strict=True) if rank == 0]
    assert all(one.config in kept for one in controls)


def test_a_search_at_its_limit_goes_over_to_the_controls(tiny, tmp_path):
    stage, sweep = students(tiny, tmp_path, STAGE)
    searcher = student_searcher(sweep, stage, lambda: True)
    done = [seen({"parent": "0002", "keep_macs": 0.5}, 0.1, 0.5)]
    assert searcher.suggest(done, []) == {**done[0].config, "control": True}
    assert searcher.suggest([], []) is None


def report(epoch, loss, share, finished=False):
    figures = {"metrics": {"val_loss": loss, "val_accuracy": -loss}, "cost": {"share": share}}
    return {"epoch": epoch, **figures, "seconds": 1.0, "timing": {}, "node": "here", "finished": finished}


def test_asha_keeps_whoever_is_ahead_in_either_aim_and_never_stops_a_control(tiny, tmp_path):
    asha = {"grace_period": 1, "reduction_factor": 2}
    space = {"parameters": {"keep_macs": {"uniform": [0.1, 0.9]}}}
    stage = {"space": space, "search": {"name": "random", "trials": 9}, "asha": asha, "epochs": 2}
    _, sweep = students(tiny, tmp_path, stage, ("0001",))
    record = Record("val_loss", 1.0)
    scheduler = Asha(sweep, record)
    record.begin_session(1)
    points = [(1.0, 0.5), (2.0, 0.2), (0.5, 0.8), (3.0, 0.9), (1.5, 0.6)]
    configs = [{"parent": "0001", "keep_macs": share} for _, share in points]
    for config, (loss, share) in zip([*configs, {**configs[3], "control": True}], [*points, points[3]], strict=True):
        scheduler.hear(record.propose(config).id, report(1, loss, share))
    below = {"0004", "0005"}  # beaten in both by the first
    assert {trial.id for trial in record.trials.values() if trial.status == "stopped"} == below
    for trial in list(record.open):
        scheduler.hear(trial, report(2, record.trials[trial].loss, record.trials[trial].epochs[0].cost["share"], True))
    stage = StageConfig.model_validate({**stage, "models": 2})
    assert [trial.id for trial in chosen(record, stage)] == ["0003", "0001"]
    assert control_of(record, record.trials["0003"]) is None
    assert control_of(record, record.trials["0004"]).id == "0006"


def test_a_limit_ends_students_and_leaves_controls_their_epochs(tiny, tmp_path):
    _, sweep = students(tiny, tmp_path, {**STAGE, "limits": {"epochs": 2}}, ("0001",))
    record = Record("val_loss", 1.0)
    scheduler = Asha(sweep, record)
    record.begin_session(1)
    config = {"parent": "0001", "keep_macs": 0.5}
    student, control = record.propose(config).id, record.propose({**config, "control": True}).id
    assert scheduler.hear(control, report(1, 1.0, 0.5))
    assert not scheduler.hear(student, report(1, 1.0, 0.5))
    assert scheduler.hear(control, report(2, 1.0, 0.5))
    assert record.limit
    assert [trial.status for trial in record.trials.values()] == ["stopped", "pending"]


def test_controls_do_not_use_up_the_patience_of_the_search(tiny, tmp_path):
    space = {"parameters": {"keep_macs": {"uniform": [0.1, 0.9]}}}
    stage = {"space": space, "search": {"name": "random", "trials": 9}, "limits": {"patience": 2}, "epochs": 1}
    _, sweep = students(tiny, tmp_path, stage, ("0001",))
    record = Record("val_loss", 1.0)
    scheduler = Asha(sweep, record)
    record.begin_session(1)
    for number, control in enumerate([False, True, True, True, False, False, False]):
        config = {"parent": "0001", "keep_macs": 0.5 - 0.01 * number, **({"control": True} if control else {})}
        assert not record.limit
        scheduler.hear(record.propose(config).id, report(1, 1.0 + number, 0.5, True))
    assert record.limit == "2 trials since the best one, of limits.patience 2"


def test_a_random_search_is_not_changed_by_two_aims(tiny):
    space = Space({"x": Uniform(0.0, 1.0)})
    done = [seen({"x": 0.5}, 1.0, 0.5)]
    assert TowardsFront(RandomSearcher(space, 3), 3).suggest(done, []) == RandomSearcher(space, 3).suggest(done, [])
