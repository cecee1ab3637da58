"""What is kept of many observations, and what a fit to few of them is held to."""

import math

import numpy as np
import pytest

from orchestrator.searchers import Observation
from orchestrator.searchers.bayes import MODELLED, BayesSearcher
from orchestrator.searchers.cube import Cube
from orchestrator.searchers.evidence import Evidence
from orchestrator.searchers.features import Features
from orchestrator.searchers.history import History
from orchestrator.searchers.surrogate import LENGTH, NOISE, VARIANCE, fit
from search_spaces import Int, Space, Uniform


def evidence(count, seed=0):
    """Of so many configurations in an order that has nothing to do with their losses."""
    space = Space({"x": Int(1, 2 * count + 1)})
    order = np.random.default_rng(seed).permutation(count).tolist()
    history = History(Cube(space), ())
    history.update([Observation(config={"x": 2 * n + 1}, loss=float(n)) for n in order])
    return Evidence.of(history, count)


@pytest.mark.parametrize(("count", "most"), [(600, 256), (600, 160), (257, 256), (40, 7)])
def test_of_many_observations_the_best_half_is_kept_and_others_spread_over_the_rest(count, most):
    known = evidence(count)
    kept = known.some(most)
    ranks = np.sort(np.searchsorted(np.sort(known.points[:, 0]), kept.points[:, 0]))
    assert len(kept.scores) == len(kept.points) == len(kept.variances) == most
    assert ranks[: most // 2].tolist() == list(range(most // 2))
    assert ranks[-1] == count - 1
    rest = ranks[most // 2 :]
    assert np.diff(rest).max() - np.diff(rest).min() <= 1
    assert kept.usable == known.usable == count


def test_the_order_of_what_is_kept_is_that_of_the_observations():
    known = evidence(100)
    kept = known.some(30)
    places = [known.points[:, 0].tolist().index(point) for point in kept.points[:, 0].tolist()]
    assert places == sorted(places)
    assert kept.scores.tolist() == known.scores[places].tolist()
    assert known.some(100) is known


@pytest.mark.parametrize("at", [0, 300, 450])
def test_many_observations_are_thinned_for_the_model_and_the_best_are_known_wherever_they_came(at):
    """Of 600, more than any model has, the lowest losses are in one narrow valley, and the next is proposed there."""
    trials = 600
    assert trials > MODELLED
    space = Space({"x": Int(1, 2 * trials + 1)})
    valley = [Observation(config={"x": 2 * n}, loss=abs(2 * n - 101) / 100 - 9) for n in range(46, 56)]
    others = [Observation(config={"x": 2 * n}, loss=1 + n % 7) for n in range(1, trials) if not 46 <= n < 56]
    done = [*others[:at], *valley, *others[at:]]
    assert BayesSearcher(space, 0).suggest(done, [])["x"] in range(89, 115, 2)


def three_points(dimensions):
    space = Space({f"x{n}": Uniform(0, 1) for n in range(dimensions)})
    features = Features(Cube(space))
    inputs = features(np.random.default_rng(0).random((3, dimensions)))
    return features, inputs


@pytest.mark.parametrize("dimensions", [1, 4])
@pytest.mark.parametrize("scores", [(-1.0, 0.0, 1.0), (0.0, 0.0, 0.0), (-1.7, 1.0, 1.0)])
def test_a_fit_to_three_points_stays_near_what_is_expected_beforehand(dimensions, scores):
    """Within two deviations of each prior; by likelihood alone lengths and noise run to their bounds."""
    features, inputs = three_points(dimensions)
    found = fit(features, inputs, np.array(scores), np.zeros(3))
    assert abs(math.log(found.variance) - VARIANCE[0]) < 2 * VARIANCE[1]
    assert abs(math.log(found.noise) - NOISE[0]) < 2 * NOISE[1]
    lengths = np.log(np.atleast_1d(found.kernel.lengths))
    assert (abs(lengths - LENGTH[0] - math.log(dimensions) / 2) < 2 * LENGTH[1]).all()
