"""What each searcher promises beyond the contract."""

import pytest

from orchestrator.searchers import GridSearcher, Observation, RandomSearcher, make_searcher
from search_spaces import Choice, Int, Space, SpaceError, Uniform

SPACE = Space({"a": Choice(["x", "y"]), "b": Int(1, 3)})


def test_the_grid_goes_in_order_whatever_order_results_come_in():
    grid = list(SPACE.grid())
    searcher = GridSearcher(SPACE)
    for n, expected in enumerate(grid):
        done = [Observation(config=config, loss=0.0) for config in reversed(grid[:n])]
        assert searcher.suggest(done[: n // 2], [o.config for o in done[n // 2 :]]) == expected


def test_the_grid_fills_gaps_first():
    grid = list(SPACE.grid())
    assert GridSearcher(SPACE).suggest([], grid[:2] + grid[3:]) == grid[2]


def test_a_grid_of_a_continuum_is_refused_at_once():
    with pytest.raises(SpaceError, match=r"^parameters\.lr: must have finitely many values"):
        GridSearcher(Space({"lr": Uniform(0, 1)}))


@pytest.mark.parametrize("name", ["random", "bayes"])
def test_another_seed_gives_another_start(name):
    space = Space({"x": Uniform(0, 1)})
    assert len({make_searcher(name, space, seed).suggest([], [])["x"] for seed in range(5)}) == 5


def test_random_ignores_losses():
    searcher = RandomSearcher(SPACE, seed=0)
    config = next(SPACE.grid())
    assert searcher.suggest([Observation(config=config, loss=0.0)], []) == searcher.suggest(
        [Observation(config=config, loss=9.0)], []
    )


def test_an_unknown_searcher_suggests_a_known_one():
    with pytest.raises(ValueError, match="must be one of bayes, grid, random, but got 'bays'; did you mean 'bayes'"):
        make_searcher("bays", SPACE, 0)
