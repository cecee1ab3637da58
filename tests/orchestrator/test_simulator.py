"""Simulated searches: what decides in them is what decides in a sweep."""

import math
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import SweepError
from orchestrator.record import Record
from orchestrator.scheduling import Asha, budgets
from orchestrator.searchers import GridSearcher, RandomSearcher
from orchestrator.sections import AshaConfig, LimitConfig
from orchestrator.simulation.curves import Curve, Curves
from orchestrator.simulation.simulator import Simulation, compare, make_simulation, simulate
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
    curves = Curves(SPACE, "val_loss", 1.0, [curve(0.0, 1.0, kind="b"), curve(0.9, 2.0), curve(0.9, 3.0)])
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
        make_simulation(**{"workers": 1, "trials": 1, "epochs": 9, **change})
    assert message in str(error.value)
