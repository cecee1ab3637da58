"""Searchers: functions from what is known to the next configuration. Nothing here knows Ray."""

from collections.abc import Callable, Sequence

from orchestrator.searchers.base import Observation, Searcher
from orchestrator.searchers.grid import GridSearcher
from orchestrator.searchers.random import RandomSearcher
from orchestrator.searchers.start import StartFirst
from search_spaces import Config, Space, nearest


def _bayes(space: Space, seed: int, rungs: Sequence[int], per_second: bool) -> Searcher:
    # Scikit-optimize takes a second to import: a third of what a sweep needs that searches otherwise.
    from orchestrator.searchers.bayes import BayesSearcher

    return BayesSearcher(space, seed, rungs=rungs, per_second=per_second)


SEARCHERS: dict[str, Callable[[Space, int, Sequence[int], bool], Searcher]] = {
    "bayes": _bayes,
    "grid": lambda space, seed, rungs, per_second: GridSearcher(space),
    "random": lambda space, seed, rungs, per_second: RandomSearcher(space, seed),
}


def make_searcher(
    name: str,
    space: Space,
    seed: int,
    *,
    rungs: Sequence[int] = (),
    per_second: bool = False,
    start: Sequence[Config] = (),
) -> Searcher:
    """The searcher of that name.

    Args:
        rungs: the budgets in epochs at which trials are compared, ascending; the last is the full budget.
        per_second: whether to look for the most improvement per second of training.
        start: configurations to propose first; constants may be left out.

    Raises:
        ValueError: the name is not in SEARCHERS.
        SpaceError: a configuration to start with is not one of the space.
    """
    if name not in SEARCHERS:
        hint = nearest(name, SEARCHERS)
        raise ValueError(
            f"search.name: must be one of {', '.join(SEARCHERS)}, but got {name!r}" + (f";{hint}" if hint else "")
        )
    searcher = SEARCHERS[name](space, seed, rungs, per_second)
    return StartFirst(searcher, [space.complete(config) for config in start]) if start else searcher


__all__ = [
    "SEARCHERS",
    "GridSearcher",
    "Observation",
    "RandomSearcher",
    "Searcher",
    "StartFirst",
    "make_searcher",
]
