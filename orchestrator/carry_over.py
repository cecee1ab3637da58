"""What a run has shown in another space than it has now: carried over into the present one, as in a warm start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.searchers import Observation, Searcher
from orchestrator.searchers.base import Key
from orchestrator.sweep import Sweep
from orchestrator.warm_start import fixed_values, translated
from search_spaces import Config, Space, SpaceError


class CarriedOver:
    """Gives `searcher` the observations outside the space in the terms of the space, as far as they fit.

    A run that is resumed may have another space than before. A parameter that the space does not have any more is
    dropped, and one that it did not have is at the value that the run fixed. Such an observation informs, but its
    configuration may be proposed again.
    """

    def __init__(self, searcher: Searcher, space: Space, fixed: Config) -> None:
        self._searcher, self._space, self._fixed = searcher, space, fixed
        self._configs: dict[Key, Config | None] = {}
        self._seen: dict[int, tuple[Observation, Observation]] = {}

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The searcher's next proposal."""
        return self._searcher.suggest(self.carried(done), pending)

    def carried(self, done: Iterable[Observation]) -> list[Observation]:
        """The same objects for the same ones: searchers see by that what is new. Those that do not fit stay."""
        known, self._seen = self._seen, {}
        for seen in done:
            self._seen[id(seen)] = known.get(id(seen)) or (seen, self._carry(seen))
        return [carried for _, carried in self._seen.values()]

    def count(self, done: Iterable[Observation]) -> tuple[int, int]:
        """The number of configurations outside the space that fit it in its terms, and of all outside it."""
        outside = [seen for seen in done if not self._space.contains(seen.config)]
        return sum(one is not seen for seen, one in zip(outside, map(self._carry, outside), strict=True)), len(outside)

    def _carry(self, seen: Observation) -> Observation:
        if seen.key not in self._configs:
            self._configs[seen.key] = self._config(seen.config)
        config = self._configs[seen.key]
        return seen if config is None else replace(seen, config=config, prior=True)

    def _config(self, config: Config) -> Config | None:
        """The configuration in the terms of the space; None where it is one already, or does not fit."""
        if self._space.contains(config):
            return None
        try:
            return translated(self._space, {**self._fixed, **config})
        except SpaceError:
            return None


def carry_over(searcher: Searcher, sweep: Sweep) -> CarriedOver:
    """The searcher with what the run has shown in other spaces."""
    return CarriedOver(searcher, sweep.space, fixed_values(sweep))
