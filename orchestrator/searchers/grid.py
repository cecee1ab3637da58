"""Every point of the space once, in order."""

from collections.abc import Sequence

from orchestrator.searchers.base import Observation, first_new, known_keys
from search_spaces import Config, Space


class GridSearcher:
    """The first point of the grid that is neither done nor pending.

    Raises SpaceError for a space with a continuous domain.
    """

    def __init__(self, space: Space) -> None:
        space.grid()  # refuses a continuum now rather than at the first proposal
        self._space = space

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The next point in order, or None after the last one."""
        return first_new(self._space, known_keys(done, pending))
