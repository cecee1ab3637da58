import argparse

import pytest

pytest.importorskip("optuna", reason="the extra `bench` is not installed")

from benchmarks.search_speed import SPACE, Times, figures, loss, measure_all


def test_the_smallest_run_measures_ours_and_theirs() -> None:
    only = ["halving", "optuna tpe", "skopt ei"]
    options = argparse.Namespace(sizes=[20], only=only, repeats=4, short=True, clock="cpu")
    found = measure_all(options)
    assert {(name, size) for name, size in found} == {(name, 20) for name in only}
    assert [len(times.later) for times in found.values()] == [5, 2, 2]
    assert all(min(times.first, *times.later) > 0 for times in found.values())


def test_slow_peers_are_left_out_of_large_sizes_and_ours_goes_on_until_a_refit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = []
    monkeypatch.setattr(
        "benchmarks.search_speed.measure", lambda *of: measured.append(of[1:3]) or Times(0.1, [0.1] * of[2])
    )
    only = ["halving", "optuna tpe", "optuna gp", "skopt ei"]
    measure_all(argparse.Namespace(sizes=[500, 1000, 10_000], only=only, repeats=30, short=False, clock="wall"))
    expected = {500: (125, 30, 10, 2), 1000: (250, 30, 5), 10_000: (2500, 30)}
    assert measured == [(size, repeats) for size, several in expected.items() for repeats in several]


def test_ours_is_held_to_what_is_promised() -> None:
    found = {
        ("halving", 200): Times(1.0, [0.03, 0.04, 0.05]),
        ("skopt ei", 200): Times(2.0, [2.4, 2.0, 2.8]),
        ("optuna gp", 200): Times(0.2, [0.2, 0.3, 0.1]),
        ("halving", 1000): Times(2.5, [0.09, 0.1, 0.2]),
    }
    rows = {row.name: row for row in figures(found)}
    assert rows["skopt ei / halving at 200"].value == pytest.approx(60)
    assert rows["skopt ei / halving at 200"].wanted == ">= 50"
    assert rows["optuna gp / halving at 200"].wanted == ">= 1"
    assert rows["halving at 1000, median of 3"].holds
    assert rows["halving at 1000, longest"].holds is False
    assert rows["skopt ei at 200, longest"].wanted is None


def test_the_losses_are_those_of_a_space_worth_searching() -> None:
    kinds = [domain.form for domain in SPACE.domains.values()]
    assert sorted(kinds) == ["choice", "int", "log_int", "log_uniform", "uniform", "uniform"]
    assert len({loss(config) for config in SPACE.corners()}) > 10
