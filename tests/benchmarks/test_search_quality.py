from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `bench` is not installed")
pytest.importorskip("cocoex", reason="the extra `bench` is not installed")

from benchmarks import search_quality
from benchmarks.search.cache import Cache, Search
from benchmarks.search_quality import Plan, figures, kept_seeds, run_all

PLAN = Plan(("bbob-gallagher-3",), ("halving", "random", "optuna tpe"), seeds=2, modes=(1, 8), evaluations=40)


def test_only_peers_are_kept_and_only_they_are_not_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Search] = []

    def pretend(search: Search) -> list[float]:
        played.append(search)
        return [1 / len(played)] * search.evaluations

    monkeypatch.setattr(search_quality, "run", pretend)
    file = tmp_path / "kept.jsonl"
    first = run_all(PLAN, Cache(file), refresh=False)
    assert len(played) == len(first) == 12
    assert {search.contender for search in first if Cache(file).get(search)} == {"optuna tpe"}
    played.clear()
    again = run_all(PLAN, Cache(file), refresh=False)
    assert {search.contender for search in played} == {"halving", "random"}
    assert all(again[search] == first[search] for search in first if search.contender == "optuna tpe")
    played.clear()
    run_all(PLAN, Cache(file), refresh=True)
    assert len(played) == 12


def test_a_seed_is_kept_when_all_peers_have_played_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept.jsonl")
    peers = [search for search in PLAN.searches() if search.contender == "optuna tpe"]
    counts = []
    for search in peers:
        counts.append(kept_seeds(PLAN, cache))
        cache.put(search, [0.5] * 40)
    assert [*counts, kept_seeds(PLAN, cache)] == [0, 0, 1, 1, 2]
    assert kept_seeds(PLAN._replace(seeds=5), cache) == 2


def test_a_search_is_played_as_its_name_says() -> None:
    plan = PLAN._replace(contenders=("random",), seeds=1)
    curves = [search_quality.run(search) for search in plan.searches()]
    assert [len(curve) for curve in curves] == [40, 40]
    assert all(curve == sorted(curve, reverse=True) for curve in curves)


def test_what_is_wanted_is_the_lowest_rank_and_regret() -> None:
    ends = {"halving": (0.1, 0.3), "random": (0.5, 0.6), "optuna tpe": (0.05, 0.5)}
    found = {search: [1.0] * 20 + [ends[search.contender][search.seed]] * 20 for search in PLAN.searches()}
    rows = {row.name: row for row in figures(PLAN, found)}
    for mode in ("sequential", "8 at a time"):
        assert rows[f"{mode}, 40: mean rank, halving"].value == 1.5
        assert rows[f"{mode}, 40: mean rank, halving"].wanted == "<= 1.5"
        assert rows[f"{mode}, 40: regret, halving"].value == pytest.approx(0.2)
        upper = rows[f"{mode}, 40: regret, halving, upper end"]
        assert (upper.value, upper.wanted, upper.holds) == (pytest.approx(0.3), "<= 0.275", False)
        assert rows[f"{mode}, 20: mean rank, halving"].value == 2
        assert rows[f"{mode}, 20: mean rank, halving"].wanted is None
        assert rows[f"{mode}, 40, bbob-gallagher-3: random"].value == pytest.approx(0.55)
    assert rows["seeds of each task"].value == 2
