"""Simulated searches: what decides in them is what decides in a sweep."""

import math
from dataclasses import replace
from itertools import count
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import SweepError
from orchestrator.record import Record
from orchestrator.scheduling import Asha, budgets
from orchestrator.searchers import GridSearcher, RandomSearcher, make_searcher
from orchestrator.sections import AshaConfig, LimitConfig
from orchestrator.simulation.curves import Curve, Curves
from orchestrator.simulation.outcome import Outcome
from orchestrator.simulation.regret import improvements, over_time
from orchestrator.simulation.simulator import Simulation, compare, simulate
from search_spaces import Choice, Grid, Space, Uniform

SPACE = Space({"x": Uniform(0.0, 1.0), "kind": Choice(("a", "b"))})


def curve(x, *losses, kind="a", seconds=1.0, status="completed"):
    return Curve(config={"x": x, "kind": kind}, losses=losses, seconds=(seconds,) * len(losses), status=status)


def falling(count=20, epochs=9):
    """Curves that fall to x, the slower the smaller x is."""
    return Curves(
        SPACE,
        "val_loss",
        1.0,
        [
            curve(x, *(x + 1 / (epoch + 9 * x) for epoch in range(1, epochs + 1)), kind=kind, seconds=1 + x)
            for x, kind in ((number / count, "ab"[number % 2]) for number in range(count))
        ],
    )


def plan(**changes):
    return Simulation(**{"workers": 4, "trials": 30, "epochs": 9, "asha": AshaConfig(), **changes})


class Listed:
    """Proposes what it is given, in order."""

    def __init__(self, *configs):
        self.configs = list(configs)

    def suggest(self, done, pending):
        return self.configs.pop(0) if self.configs else None


def xs(*values):
    return Listed(*({"x": x, "kind": "a"} for x in values))


def test_one_worker_is_a_plain_loop():
    curves, searcher = falling(), RandomSearcher(SPACE, 3)
    outcome = simulate(plan(workers=1, trials=12), curves, searcher)

    record = Record("val_loss", 1.0)
    asha, now, improvements = Asha(plan(), record), 0.0, []
    for _ in range(12):
        trial = record.propose(searcher.suggest(record.observations(), record.pending()))
        learned = curves.nearest(trial.config)
        for epoch, (loss, seconds) in enumerate(zip(learned.losses, learned.seconds, strict=True), 1):
            now += seconds
            if not improvements or loss < improvements[-1][1]:
                improvements.append((pytest.approx(now), loss))
            report = {"epoch": epoch, "metrics": {"val_loss": loss}, "seconds": seconds}
            if not asha.hear(trial.id, {**report, "timing": {}, "node": "", "finished": epoch == 9}):
                break
    assert list(outcome.improvements) == improvements
    assert outcome.seconds == pytest.approx(now)
    assert outcome.record.observations() == record.observations()


def test_the_same_seed_comes_out_the_same():
    first, second, other = (
        simulate(plan(seed=seed, asha=AshaConfig(brackets=2)), falling(), RandomSearcher(SPACE, seed))
        for seed in (1, 1, 2)
    )
    assert first.improvements == second.improvements
    assert first.record.trials == second.record.trials
    assert first.record.trials != other.record.trials


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(0, 2**16),
    st.sampled_from([AshaConfig(), AshaConfig(grace_period=3), AshaConfig(reduction_factor=2, brackets=2), None]),
)
def test_trials_stop_where_the_scheduler_of_a_sweep_stops_them(workers, seed, asha):
    """Every report of a simulation, in its order, goes through the door by which Ray brings results."""
    heard = []

    class Overheard(Asha):
        def hear(self, name, report):
            heard.append((name, report, super().hear(name, report)))
            return heard[-1][-1]

    simulation = plan(workers=workers, seed=seed, asha=asha)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.simulation.simulator.Asha", Overheard)
        record = simulate(simulation, falling(), RandomSearcher(SPACE, seed)).record

    again = Record("val_loss", 1.0)
    real = Asha(simulation, again)
    for trial in record.trials.values():
        again.propose(trial.config)
    for name, report, goes_on in heard:
        attempt = type("Attempt", (), {"config": {"trial": name}})()
        answer = real.on_trial_result(None, attempt, {"report": [report]})
        assert answer == ("CONTINUE" if goes_on else "STOP")
    assert {trial.status for trial in again.trials.values()} <= {"completed", "stopped"}


def test_workers_train_side_by_side_and_wait_for_nobody():
    curves = Curves(SPACE, "val_loss", 1.0, [curve(0.1, 1.0, 0.9, seconds=2.0), curve(0.9, 3.0, 2.0, seconds=5.0)])
    outcome = simulate(plan(workers=2, trials=None, epochs=2, asha=None), curves, xs(0.1, 0.9, 0.2, 0.8))
    assert outcome.improvements == ((2.0, 1.0), (4.0, 0.9))
    assert [(trial.started, trial.ended) for trial in outcome.record.trials.values()] == [
        (0, 4),
        (0, 10),
        (4, 8),
        (8, 18),
    ]
    assert (outcome.seconds, outcome.waited) == (18.0, 0.0)
    assert [outcome.loss_at(second) for second in (1.0, 2.0, 99.0)] == [math.inf, 1.0, 0.9]
    assert (outcome.seconds_to(0.95), outcome.seconds_to(0.5)) == (4.0, math.inf)


def test_proposals_that_count_are_waited_for_one_after_the_other(monkeypatch):
    ticks = count(0.0, 3.0)
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    curves = Curves(SPACE, "val_loss", 1.0, [curve(0.1, 1.0, 0.9)])
    outcome = simulate(plan(workers=2, trials=2, epochs=2, counts_proposals=True), curves, xs(0.1, 0.2))
    assert [trial.started for trial in outcome.record.trials.values()] == [3.0, 6.0]
    assert outcome.waited == pytest.approx((3 + 6) / (2 * 6))


def test_a_recorded_failure_fails_and_ends_no_search():
    curves = Curves(SPACE, "val_loss", 1.0, [curve(0.1, 1.0, status="failed"), curve(0.9, 3.0, 2.0)])
    record = simulate(plan(workers=1, trials=None, epochs=2, asha=None), curves, xs(0.1, 0.9)).record
    assert [(trial.status, trial.error) for trial in record.trials.values()] == [
        ("failed", "failed in epoch 2, as recorded"),
        ("completed", ""),
    ]


def test_what_is_not_known_of_a_stopped_trial_stays_as_it_was():
    stopped = curve(0.1, 3.0, 2.0, status="stopped")
    assert [stopped.loss(epoch) for epoch in (1, 2, 3, 9)] == [3.0, 2.0, 2.0, 2.0]
    curves = Curves(SPACE, "val_loss", 1.0, [stopped, curve(0.9, 3.0)])
    record = simulate(plan(workers=1, trials=None, epochs=4, asha=None), curves, xs(0.1, 0.9)).record
    assert [len(trial.epochs) for trial in record.trials.values()] == [4, 1]


def test_the_nearest_counts_an_unordered_difference_as_one():
    curves = Curves(SPACE, "val_loss", 1.0, [curve(0.0, 1.0, kind="b"), curve(0.9, 2.0), curve(1.0, 3.0)])
    assert curves.nearest({"x": 0.1, "kind": "a"}).losses == (2.0,)
    assert curves.nearest({"x": 0.1, "kind": "b"}).losses == (1.0,)


def test_limits_hold_in_simulated_time():
    outcome = simulate(plan(trials=None, limits=LimitConfig(minutes=0.5)), falling(), RandomSearcher(SPACE, 0))
    assert 30 <= outcome.seconds < 33
    assert "minutes have passed" in outcome.record.limit


def test_methods_are_compared_and_wrong_ones_refused():
    space = Space({"x": Grid((0.1, 0.5, 0.9)), "kind": Choice(("a", "b"))})
    curves = Curves(space, "val_loss", 1.0, [curve(0.1, 2.0, 1.0), curve(0.9, 3.0, 2.0)])
    outcomes = compare(plan(epochs=2), curves, ["random", "grid"], 2, quiet=True)
    assert {name: len(of_method) for name, of_method in outcomes.items()} == {"random": 2, "grid": 2}
    with pytest.raises(SweepError, match="--search: must be of bayes, grid, random, but got 'bays'"):
        compare(plan(), curves, ["bays"], 1)


def test_searchers_are_told_the_rungs(monkeypatch):
    told = []

    def remembering(name, space, seed, *, rungs):
        told.append((name, seed, rungs))
        return RandomSearcher(space, seed)

    monkeypatch.setattr("orchestrator.simulation.simulator.make_searcher", remembering)
    compare(plan(trials=1), falling(), ["bayes"], 2, quiet=True)
    assert set(told) == {("bayes", 0, (1, 3, 9)), ("bayes", 1, (1, 3, 9))}


def test_a_grid_is_worked_off_and_no_more():
    space = Space({"x": Grid((0.1, 0.9)), "kind": Choice(("a", "b"))})
    curves = Curves(space, "val_loss", 1.0, [curve(0.1, 2.0, 1.0)])
    assert len(simulate(plan(epochs=2), curves, GridSearcher(space)).record.trials) == 4


def test_rungs_end_with_the_full_budget():
    assert budgets(plan(epochs=10)) == (1, 3, 9, 10)
    assert budgets(plan(epochs=10, asha=None)) == (10,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"asha": {"grace_period": 10}},
            "asha.grace_period: must be at most 9, the epochs of the longest curve, but got 10",
        ),
        ({"asha": {"brackets": 4}}, "asha.brackets: must be at most 3, the rungs, but got 4"),
        ({"epoch_seconds": 0.0}, "epoch_seconds: must be more than 0, but got 0.0"),
        ({"limits": {"minutes": -1}}, "limits.minutes: must be more than 0, but got -1"),
    ],
)
def test_what_cannot_be_simulated_is_said(change, message):
    with pytest.raises(SweepError) as error:
        Simulation(**{"workers": 1, "trials": 1, "epochs": 9, **change})
    assert message in str(error.value)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["random", "grid", "bayes"]),
    st.integers(0, 2**16),
    st.integers(2, 9),
    st.lists(st.floats(0.1, 50), min_size=20, max_size=20),
)
def test_the_number_of_a_proposal_decides_on_it_and_not_who_reports_when(method, seed, workers, seconds):
    """Until losses decide, that is: the first eight of a Bayesian search, all of the others."""
    space = Space({"x": Grid(tuple(number / 20 for number in range(20))), "kind": Choice(("a", "b"))})
    searchers = [make_searcher(method, space, seed, rungs=(1, 3, 9), start=[{"x": 0.5, "kind": "b"}]) for _ in "ab"]
    steady = Curves(space, "val_loss", 1.0, falling().curves)
    uneven = [replace(one, seconds=(second,) * 9) for one, second in zip(steady.curves, seconds, strict=True)]
    alone = simulate(plan(workers=1, trials=16), steady, searchers[0])
    many = simulate(plan(workers=workers, trials=16), Curves(space, "val_loss", 1.0, uneven), searchers[1])
    alike = 8 if method == "bayes" else 16
    first, second = ([trial.config for trial in one.record.trials.values()][:alike] for one in (alone, many))
    assert first == second


@st.composite
def recorded(draw):
    """Curves of a grid of five configurations, some of which have repeats or failed, perhaps after good reports."""
    statuses = st.sampled_from(["completed", "completed", "stopped", "failed"])
    losses = st.lists(st.floats(-5, 5), min_size=1, max_size=4)
    curves = [
        curve(x, *draw(losses), seconds=draw(st.floats(0.1, 5)), status=draw(statuses))
        for x in (0.1, 0.2, 0.3, 0.4, 0.5)
        for _ in range(draw(st.integers(1, 3)))
    ]
    return [curve(0.0, *draw(losses)), *curves]


@settings(max_examples=60, deadline=None)
@given(recorded(), st.integers(1, 4), st.booleans())
def test_regret_is_never_negative_and_nothing_once_all_was_tried(curves, workers, stops_early):
    space = Space({"x": Grid((0.0, 0.1, 0.2, 0.3, 0.4, 0.5)), "kind": Choice(("a",))})
    known = Curves(space, "val_loss", 1.0, curves)
    simulation = plan(workers=workers, trials=None, epochs=4, asha=AshaConfig() if stops_early else None)
    table = improvements({"grid": [simulate(simulation, known, GridSearcher(space))]}, known)
    assert (table["regret"] >= 0).all()
    assert (table["relative_regret"] >= 0).all()
    if not stops_early:
        assert table["regret"].iloc[-1] == 0
    finals = {x: [one for one in curves if one.config["x"] == x and one.status == "completed"] for x in (0.0, 0.1)}
    for x, repeats in finals.items():
        if repeats:
            mean = [fmean(one.losses[min(epoch, len(one.losses) - 1)] for one in repeats) for epoch in range(4)]
            assert known.best <= min(mean) + 1e-12, x


def test_a_failed_trial_is_no_result_and_repeats_count_by_their_mean():
    curves = [
        curve(0.1, 0.1, 0.05, status="failed"),
        curve(0.2, 1.0),
        curve(0.2, 0.5),
        curve(0.3, 0.9, seconds=3.0),
        curve(0.3, -9.0, status="failed"),
    ]
    space = Space({"x": Grid((0.1, 0.2, 0.3)), "kind": Choice(("a",))})
    known = Curves(space, "val_loss", 1.0, curves)
    assert (len(known), known.best) == (3, 0.75)
    outcome = simulate(plan(workers=3, trials=None, epochs=3, asha=None), known, GridSearcher(space))
    assert outcome.improvements == ((1.0, 0.75),)
    assert [trial.status for trial in outcome.record.trials.values()] == ["failed", "completed", "completed"]


def test_moments_are_shares_of_the_shortest_methods_time():
    """Of 40 and 80 s the shortest is 40: with the longest, a method would be compared after its end."""
    curves = Curves(SPACE, "val_loss", 1.0, [curve(0.1, 1.0), curve(0.9, 3.0)])
    outcomes = {
        "quick": [Outcome(record=Record("val_loss", 1.0), seconds=40.0, improvements=((5.0, 1.5),), waited=0.0)],
        "slow": [Outcome(record=Record("val_loss", 1.0), seconds=80.0, improvements=((20.0, 1.0),), waited=0.0)],
    }
    table = over_time(outcomes, curves)
    assert list(table) == ["method", "1.25 s", "2.5 s", "5 s", "10 s", "20 s", "40 s"]
    assert list(table["5 s"]) == ["0.5 ± 0", "-"]
    assert list(table["20 s"]) == ["0.5 ± 0", "0 ± 0"]
