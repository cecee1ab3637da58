"""Bayesian optimisation: proposes where a model of all losses so far expects the most improvement."""

from collections.abc import Iterator, Sequence
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from orchestrator.searchers.base import Key, Observation, key, known_keys, sample_new
from orchestrator.searchers.surrogate import Features, expected_improvement
from search_spaces import Choice, Config, Space

Array = NDArray[np.float64]

ENUMERATE = 1000  # a space of at most so many configurations is searched whole
SPREAD = 512  # quasi-random candidates
INCUMBENTS = 8  # the best observations, from each of which
NEIGHBOURS = 48  # so many candidates are made by small steps
SMALLEST, LARGEST = 0.01, 0.3  # the standard deviation of such a step in the unit cube
STEPPING = 0.4  # the chance of each coordinate to take part in a step
FEWEST = 2  # losses without which there is nothing to learn from


class BayesSearcher:
    """A Gaussian process over the space, rebuilt from all observations for each proposal.

    The first `initial` proposals are a scrambled Sobol' design. Failed trials count like the worst loss seen.
    Observations outside the space (of an earlier, wider one, say) are ignored.
    """

    def __init__(
        self, space: Space, seed: int = 0, *, initial: int = 8, rungs: Sequence[int] = (), per_second: bool = False
    ) -> None:
        self._space = space
        self._seed = seed
        self._initial = initial
        self._features = Features(space)
        self._choices = np.array([isinstance(domain, Choice) for domain in space.domains.values()])

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The most promising new configuration, or None where nothing new is left in the space."""
        rng = np.random.default_rng([self._seed, len(done) + len(pending)])
        known = known_keys(done, pending)
        seen = [observation for observation in done if self._space.contains(observation.config)]
        usable = sum(not observation.failed for observation in seen)
        if len(known) < self._initial or usable < FEWEST:
            return self._design(known) or sample_new(self._space, known, rng)
        candidates = self._candidates(seen, known, rng)
        if not candidates:
            return sample_new(self._space, known, rng)
        return candidates[self._most_promising(candidates, seen, pending)]

    def _design(self, known: set[Key]) -> Config | None:
        """The first new point of the initial design, which goes on for as long as it is needed."""
        points = sobol(len(self._space), len(known) + 1, np.random.default_rng(self._seed))
        return next(self._new(points, known), None)

    def _candidates(self, seen: list[Observation], known: set[Key], rng: np.random.Generator) -> list[Config]:
        """New configurations: all of a small space, else some everywhere and some near the best."""
        if self._space.size is not None and self._space.size <= ENUMERATE:
            return [config for config in self._space.grid() if key(config) not in known]
        best = sorted((o for o in seen if not o.failed), key=lambda o: o.loss)[:INCUMBENTS]
        points = np.repeat(self._points([o.config for o in best]), NEIGHBOURS, axis=0)
        spread = sobol(len(self._space), SPREAD, rng)
        return list(self._new(np.concatenate([spread, self._step(points, rng)]), known))

    def _step(self, points: Array, rng: np.random.Generator) -> Array:
        """Each point (n, d) moved in some coordinates: numbers a little, choices to any of their options."""
        moving = rng.random(points.shape) < STEPPING
        moving[np.arange(len(points)), rng.integers(points.shape[1], size=len(points))] = True
        size = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), (len(points), 1)))
        near = np.clip(points + size * rng.standard_normal(points.shape), 0.0, 1.0)
        return np.where(moving, np.where(self._choices, rng.random(points.shape), near), points)

    def _new(self, points: Array, known: set[Key]) -> Iterator[Config]:
        """The configurations at the points (n, d), without those known and without repeats."""
        met = set(known)
        for point in points:
            config = self._space.from_unit(point)
            if key(config) not in met and self._space.allows(config):
                met.add(key(config))
                yield config

    def _most_promising(self, candidates: list[Config], seen: list[Observation], pending: Sequence[Config]) -> int:
        worst = max(observation.loss for observation in seen if not observation.failed)
        losses = np.array([worst if observation.failed else observation.loss for observation in seen])
        points = [observation.config for observation in seen]
        points += [config for config in pending if self._space.contains(config)]
        gains = expected_improvement(self._encode(candidates), self._encode(points), losses)
        return int(np.argmax(gains))

    def _encode(self, configs: Sequence[Config]) -> Array:
        return self._features(self._points(configs))

    def _points(self, configs: Sequence[Config]) -> Array:
        """The configurations in the unit cube (n, d)."""
        return np.array([self._space.to_unit(config) for config in configs])


def sobol(dimensions: int, least: int, rng: np.random.Generator) -> Array:
    """At least `least` points (n, d) of a scrambled Sobol' sequence; more of them begin with the same."""
    points: Array = qmc.Sobol(dimensions, rng=rng).random_base2(ceil(log2(least)))
    return points
