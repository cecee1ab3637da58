"""Searchers: functions from what is known to the next configuration. Nothing here knows Ray."""

from collections.abc import Callable, Sequence

from orchestrator.searchers.base import Observation, Searcher
from orchestrator.searchers.bayes import BayesSearcher
from orchestrator.searchers.grid import GridSearcher
from orchestrator.searchers.random import RandomSearcher
from search_spaces import Space, nearest

SEARCHERS: dict[str, Callable[[Space, int], Searcher]] = {
    "bayes": BayesSearcher,
    "grid": lambda space, seed: GridSearcher(space),
    "random": RandomSearcher,
}


def make_searcher(name: str, space: Space, seed: int, *, rungs: Sequence[int] = ()) -> Searcher:
    """The searcher of that name. Raises ValueError for a name that is not in SEARCHERS.

    rungs: the epochs after which trials are compared, the last one the full budget, for searchers that learn from them.
    """
    if name not in SEARCHERS:
        hint = nearest(name, SEARCHERS)
        raise ValueError(
            f"search.name: must be one of {', '.join(SEARCHERS)}, but got {name!r}" + (f";{hint}" if hint else "")
        )
    return SEARCHERS[name](space, seed)


__all__ = [
    "SEARCHERS",
    "BayesSearcher",
    "GridSearcher",
    "Observation",
    "RandomSearcher",
    "Searcher",
    "make_searcher",
]
