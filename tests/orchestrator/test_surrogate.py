"""The parts of the model: covariances, posteriors and what is expected of them, checked against scikit-optimize."""

import math

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import norm
from skopt.learning import GaussianProcessRegressor
from skopt.learning.gaussian_process.kernels import HammingKernel, Matern

from orchestrator.searchers.acquisition import log_expected_improvement
from orchestrator.searchers.cost import log_costs
from orchestrator.searchers.cube import Cube
from orchestrator.searchers.features import Features
from orchestrator.searchers.kernel import MixedKernel
from orchestrator.searchers.scores import half_rank, scaled_variances
from orchestrator.searchers.surrogate import JITTER, Hyperparameters, Posterior, fit
from search_spaces import Choice, Grid, Int, LogInt, LogUniform, Space, Uniform, When

SPACE = Space({"x": Uniform(0, 1), "n": Int(1, 5), "kind": Choice(["a", "b", "c"]), "flag": Choice([True, False])})
CUBE = Cube(SPACE)
FEATURES = Features(CUBE)
LENGTHS = np.array([0.3, 0.8, 0.5, 2.0])
KERNEL = MixedKernel(LENGTHS, FEATURES.groups, FEATURES.numbers)


def points(count: int, cube: Cube = CUBE):
    rng = np.random.default_rng(0)
    return cube.place([cube.space.sample(rng) for _ in range(count)])


def test_the_kernel_is_matern_times_hamming_of_scikit_optimize():
    places = points(12)
    indices = np.column_stack([CUBE.index(2, places[:, 2]), CUBE.index(3, places[:, 3])])
    numbers = np.column_stack([places[:, 0], CUBE.index(1, places[:, 1]) / 4])
    expected = Matern(LENGTHS[:2], nu=2.5)(numbers) * HammingKernel(1 / LENGTHS[2:])(indices)
    assert KERNEL(FEATURES(places)) == pytest.approx(expected, abs=1e-6)


def test_the_kernel_knows_its_gradient():
    inputs = FEATURES(points(6))

    def total(theta):
        return KERNEL.clone_with_theta(theta)(inputs).sum()

    def slope(theta):
        return KERNEL.clone_with_theta(theta)(inputs, eval_gradient=True)[1].sum(axis=(0, 1))

    assert check_grad(total, slope, KERNEL.theta) < 1e-3
    assert KERNEL.diag(inputs) == pytest.approx(np.diag(KERNEL(inputs)))


def test_a_parameter_that_is_off_is_equally_far_from_all_its_values():
    space = Space({"kind": Choice(["a", "b"]), "x": When(Uniform(0, 1), {"kind": "b"}), "y": Uniform(0, 1)})
    features = Features(Cube(space))
    configs = [{"kind": "a", "y": 0.5}] + [{"kind": "b", "x": x, "y": 0.5} for x in (0.0, 0.4, 1.0)]
    inputs = features(Cube(space).place(configs))
    away = np.linalg.norm(inputs[1:] - inputs[0], axis=1)
    assert away == pytest.approx(away[0])
    assert np.linalg.norm(inputs[1] - inputs[2]) < np.linalg.norm(inputs[1] - inputs[3])


def test_what_never_varies_has_no_column():
    assert Features(Cube(Space({"x": Uniform(0, 1), "n": 3, "one": Choice(["only"])}))).count == 1


def test_snapped_points_are_those_of_configurations():
    space = Space(
        {
            "kind": Choice(["a", "b", "c"]),
            "n": LogInt(1, 9),
            "big": Int(0, 10**9),
            "g": When(Grid([1, 5, 7]), {"kind": ["a", "c"]}),
            "deep": When(LogUniform(1e-3, 1), {"g": [5, 7]}),
        }
    )
    cube, rng = Cube(space), np.random.default_rng(1)
    snapped = cube.snap(rng.random((200, 5)))
    assert cube.place([space.from_unit(point) for point in snapped]) == pytest.approx(snapped, abs=1e-6)
    moved = cube.step(snapped, np.full((200, 1), 0.01), np.eye(5, dtype=bool)[np.arange(200) % 5], rng)
    assert cube.place([space.from_unit(point) for point in moved]) == pytest.approx(moved, abs=1e-6)
    changed = (moved != snapped).any(axis=1)
    assert changed[np.arange(200) % 5 == 0].all()  # a choice becomes another, whatever the size of the step
    assert changed[np.arange(200) % 5 == 1].mean() > 0.8  # a number of few values a neighbour, unless it is at an end


def test_the_posterior_is_that_of_scikit_optimize_and_believes_what_it_expects():
    inputs, scores = FEATURES(points(20)), np.random.default_rng(2).standard_normal(20)
    known, pending, elsewhere = inputs[:12], inputs[12:15], inputs[15:]
    posterior = Posterior(Hyperparameters(1.0, 0.1, KERNEL), known, scores[:12], np.full(12, 0.05))
    told = GaussianProcessRegressor(KERNEL, alpha=0.15 + JITTER, optimizer=None).fit(known, scores[:12])
    for mine, theirs in zip(posterior.predict(elsewhere), told.predict(elsewhere, return_std=True), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-6)
    believing = posterior.believing(pending)
    noise = np.append(np.full(12, 0.15), np.full(3, 0.1)) + JITTER
    believed = np.append(scores[:12], told.predict(pending))
    again = GaussianProcessRegressor(KERNEL, alpha=noise, optimizer=None).fit(inputs[:15], believed)
    for mine, theirs in zip(believing.predict(elsewhere), again.predict(elsewhere, return_std=True), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-6)


def test_a_fit_finds_out_what_matters():
    inputs = FEATURES(points(60))
    found = fit(FEATURES, inputs, np.sin(6 * inputs[:, 0]), np.zeros(60))
    lengths = found.kernel.lengths
    assert lengths[0] < 0.3 * min(lengths[1:])
    assert found.noise < 0.01
    noisy = fit(FEATURES, inputs, np.random.default_rng(0).standard_normal(60), np.zeros(60))
    assert noisy.noise > 0.3


def test_noise_that_is_known_is_not_fitted_again():
    inputs, rng = FEATURES(points(80)), np.random.default_rng(3)
    scores = np.sin(3 * inputs[:, 0]) + 0.5 * rng.standard_normal(80)
    unknown = fit(FEATURES, inputs, scores, np.zeros(80)).noise
    assert fit(FEATURES, inputs, scores, np.full(80, 0.25)).noise < unknown / 5


def test_expected_improvement_is_right_where_it_can_be_computed_and_ordered_where_it_cannot():
    means, deviations = np.array([-1.0, 0.0, 0.5, 3.0, 6.0]), np.array([0.1, 1.0, 0.5, 1.0, 1.0])
    z = -means / deviations
    assert log_expected_improvement(means, deviations, 0.0) == pytest.approx(
        np.log(deviations * (norm.pdf(z) + z * norm.cdf(z))), rel=1e-6
    )
    far = log_expected_improvement(np.array([10.0, 40.0, 1e3, 1e5, 1e8]), np.ones(5), 0.0)
    assert np.isfinite(far).all()
    assert (np.diff(far) < 0).all()
    around = log_expected_improvement(np.linspace(0.9, 1.1, 201), np.ones(201), 0.0)
    assert np.diff(around) == pytest.approx(np.diff(around)[0], rel=0.1)  # no jump where the formula changes


def test_scores_keep_the_distances_of_the_better_half_and_the_order_of_the_worse():
    scores = half_rank(np.array([1.0, 2.0, 4.0, 5.0, 7.0, 1e30]))
    assert (scores[1] - scores[0]) / (scores[2] - scores[0]) == pytest.approx(1 / 3)
    assert (np.diff(scores) > 0).all()
    assert scores.max() < 3
    assert (half_rank(np.ones(5)) == 0).all()
    assert np.isfinite(half_rank(np.array([0.0, 5e-324, 1e-323, 1e100]))).all()


def test_variances_follow_the_scale_of_the_scores():
    losses = np.arange(10.0)
    variances = scaled_variances(losses, half_rank(losses), np.full(10, 0.25))
    scale = np.diff(half_rank(losses))[0]
    assert variances[1] == pytest.approx(0.25 * scale**2)
    assert not scaled_variances(losses, half_rank(losses), np.zeros(10)).any()


def test_costs_are_products_of_powers():
    inputs, rng = np.random.default_rng(0).random((40, 3)), np.random.default_rng(1)
    seconds = 5 * np.exp(3 * inputs[:, 0]) * np.exp(0.01 * rng.standard_normal(40))
    seconds[::7] = math.nan
    low, high = log_costs(inputs, seconds)(np.array([[0.1, 0.5, 0.5], [0.9, 0.5, 0.5]]))
    assert high - low == pytest.approx(2.4, rel=0.3)
    assert (log_costs(inputs[:3], seconds[:3])(inputs) == 0).all()
