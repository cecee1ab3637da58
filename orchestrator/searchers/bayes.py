"""Bayesian optimisation: proposes where a model of all losses so far expects the most improvement."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from orchestrator.searchers.acquisition import log_expected_improvement
from orchestrator.searchers.base import Key, Observation, key, known_keys, sample_new
from orchestrator.searchers.candidates import Worth, around, climb, sobol
from orchestrator.searchers.cost import log_costs
from orchestrator.searchers.cube import Array, Cube, Mask
from orchestrator.searchers.evidence import Evidence
from orchestrator.searchers.features import Features
from orchestrator.searchers.history import History
from orchestrator.searchers.surrogate import Hyperparameters, Posterior, fit
from search_spaces import Config, Space

ENUMERATE = 1000  # a space of at most so many configurations is searched whole
SPREAD = 512  # quasi-random candidates
INCUMBENTS = 8  # the best observations, from each of which
NEIGHBOURS = 32  # so many candidates are made by steps
FEWEST = 2  # losses without which there is nothing to learn from
GROWTH = 1.2  # the kernel is fitted anew each time there are so many times as many observations
FITTED = 160  # at most so many observations decide on the kernel
MODELLED = 256  # at most so many are in the model; each candidate takes their number squared
BELIEVED = 48  # at most so many pending configurations are
PATIENCE = 20  # observations without a clearly better one, after which
EXPLORING = 1 / 3  # of the proposals are of the design again
LOOKED_AT = 64  # points of the design that may be taken before chance takes over


class BayesSearcher:
    """A Gaussian process over the space, told all observations anew for each proposal.

    The first `initial` proposals are a scrambled Sobol' design. Then a proposal goes through these steps: losses become
    scores (`evidence`), a kernel is fitted when it is time (`surrogate`), the model is told the scores and that pending
    trials will end as it expects, candidates are made and made better (`candidates`), and the new one of the greatest
    expected improvement is proposed (`acquisition`). Where that has found nothing better for a while, one proposal in
    three is of the design again: the model may be sure of what is not so. Failed trials count like the worst score.
    Observations outside the space (of an earlier, wider one, say) are ignored.

    What is kept between proposals (encoded observations, fitted kernels) follows from `done` and only saves time.

    Args:
        rungs: the epochs after which ASHA compares trials, ascending; the last is the whole budget. A trial that ended
            before it is evidence about the loss it would have had (`fidelity`). Without rungs every loss is final,
            and trials still running tell nothing.
        per_second: whether improvement counts for each second that a trial is expected to take (`cost`).
    """

    def __init__(
        self, space: Space, seed: int = 0, *, initial: int = 8, rungs: Sequence[int] = (), per_second: bool = False
    ) -> None:
        self._space, self._seed, self._initial = space, seed, initial
        self._rungs, self._per_second = rungs, per_second
        self._cube = Cube(space)
        self._features = Features(self._cube)
        self._history = History(self._cube, rungs)
        self._fits: dict[int, Hyperparameters] = {}
        self._design = sobol(len(space), LOOKED_AT, np.random.default_rng(seed))
        self._spread = sobol(len(space), SPREAD, np.random.default_rng(seed))
        small = space.size is not None and space.size <= ENUMERATE
        self._grid = self._cube.place(list(space.grid())) if small else None

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The most promising new configuration, or None where nothing new is left in the space."""
        self._update(done)
        waiting = {key(config): config for config in pending}
        tried = self._history.count_tried(waiting)
        # By the number of the proposal: as long as no loss decides, it is the same in whatever order trials report.
        rng = np.random.default_rng([self._seed, tried])
        settled = self._history.settled(waiting)
        evidence = Evidence.of(self._history, len(done) if self._rungs else settled)
        unknown = max(tried, len(evidence.scores)) < self._initial or evidence.usable < FEWEST
        stuck = evidence.since_best >= PATIENCE and rng.random() < EXPLORING
        if unknown or stuck or not self._features.count:
            points = self._designed(tried)
        else:
            model = self._model(settled)
            points = self._ranked(model, evidence.some(MODELLED), self._places(waiting), rng)
        return self._first_new(points, waiting) or sample_new(self._space, known_keys(done, pending), rng)

    def _update(self, done: Sequence[Observation]) -> None:
        self._history.update(done)
        self._fits = {count: fitted for count, fitted in self._fits.items() if count <= self._history.unchanged}

    def _designed(self, start: int) -> Array:
        """Points (n, d) of the initial design from number `start` on."""
        if len(self._design) < start + LOOKED_AT:
            self._design = sobol(len(self._space), 2 * (start + LOOKED_AT), np.random.default_rng(self._seed))
        return self._design[start : start + LOOKED_AT]

    def _first_new(self, points: Iterable[Array], waiting: Mapping[Key, Config]) -> Config | None:
        """The configuration at the first of the points that is in the space and neither tried nor pending."""
        for point in points:
            config = self._space.from_unit(point)
            name = key(config)
            if name not in waiting and not self._history.tried(name) and self._space.contains(config):
                return config
        return None

    def _places(self, waiting: Mapping[Key, Config]) -> Array:
        """The points (p, d) of the pending configurations that are in the space."""
        places = [self._history.place(name, config) for name, config in waiting.items()]
        return np.array([place for place in places if place is not None]).reshape(-1, len(self._space))

    def _model(self, settled: int) -> Hyperparameters:
        """The hyperparameters fitted when the number of observations last reached one of the schedule."""
        count = _scheduled(settled)
        if count not in self._fits:
            known = Evidence.of(self._history, count).some(FITTED)
            self._fits[count] = fit(self._features, self._features(known.points), known.scores, known.variances)
        return self._fits[count]

    def _ranked(self, model: Hyperparameters, evidence: Evidence, pending: Array, rng: np.random.Generator) -> Array:
        """Candidates (n, d), the most promising first."""
        inputs, waiting = self._features(evidence.points), self._features(pending)
        posterior = Posterior(model, inputs, evidence.scores, evidence.variances)
        points = np.unique(np.concatenate([evidence.points, pending]), axis=0)
        means = posterior.mean(self._features(points))
        # The best mean rather than the best score: in noise a lucky score leaves no improvement to expect.
        best, incumbents = float(means.min()), points[np.argsort(means, kind="stable")[:INCUMBENTS]]
        posterior = posterior.believing(_worthiest(posterior, waiting, best))
        costs, new = self._costs(), self._news(pending)

        def worth(points: Array) -> Array:
            inputs = self._features(points)
            worths = log_expected_improvement(*posterior.predict(inputs), best) - costs(inputs)
            return np.where(self._cube.allows(points) & new(points), worths, -np.inf)

        points, worths = self._searched(incumbents, worth, rng)
        ranked: Array = points[np.argsort(-worths, kind="stable")]
        return ranked

    def _searched(self, incumbents: Array, worth: Worth, rng: np.random.Generator) -> tuple[Array, Array]:
        """Candidates (n, d) and what they are worth: all of a small space, else the best of a large."""
        if self._grid is not None:
            return self._grid, worth(self._grid)
        spread = self._cube.snap((self._spread + rng.random(len(self._space))) % 1.0)
        points = np.concatenate([spread, around(self._cube, incumbents, NEIGHBOURS, rng)])
        return climb(self._cube, points, worth, rng)

    def _news(self, pending: Array) -> Callable[[Array], Mask]:
        """Which points (n, d) stand for configurations not tried yet; in a continuum none is met twice."""
        if self._space.size is None:
            return lambda points: np.ones(len(points), dtype=np.bool_)
        tried = {point.tobytes() for point in self._history.own_points} | {point.tobytes() for point in pending}
        return lambda points: np.array([point.tobytes() not in tried for point in points])

    def _costs(self) -> Callable[[Array], Array]:
        """The logarithm of the expected cost of inputs, where that counts."""
        if not self._per_second:
            return lambda inputs: np.zeros(len(inputs))
        known = self._history.inside
        points, costs = self._history.points[known][-MODELLED:], self._history.costs[known][-MODELLED:]
        return log_costs(self._features(points), costs)


def _scheduled(count: int) -> int:
    """The last number up to `count` at which the kernel is fitted."""
    scheduled = 0
    while (following := max(scheduled + 1, int(scheduled * GROWTH))) <= count:
        scheduled = following
    return scheduled


def _worthiest(posterior: Posterior, pending: Array, best: float) -> Array:
    """At most BELIEVED of the pending inputs, those near which one would look next."""
    if len(pending) <= BELIEVED:
        return pending
    worths = log_expected_improvement(*posterior.predict(pending), best)
    return pending[np.argsort(-worths, kind="stable")[:BELIEVED]]
