"""Independent random configurations: the baseline every other searcher has to beat."""

from collections.abc import Sequence

import numpy as np

from orchestrator.searchers.base import Observation, known_keys, sample_new
from search_spaces import Config, Space


class RandomSearcher:
    """Samples the space; proposals differ from each other but ignore all losses.

    A proposal is seeded by its number, so that the sequence of configurations follows from the seed alone, whatever the
    order in which trials report and end.
    """

    def __init__(self, space: Space, seed: int = 0) -> None:
        self._space = space
        self._seed = seed

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """A configuration that has not been tried, or None where there is none left."""
        known = known_keys(done, pending)
        return sample_new(self._space, known, np.random.default_rng([self._seed, len(known)]))
