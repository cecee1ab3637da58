"""The model behind Bayesian search: scikit-optimize's Gaussian process, fitted now and then and updated in between."""

import warnings
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cholesky
from scipy.linalg.lapack import dtrtri
from scipy.optimize import minimize
from skopt.learning import GaussianProcessRegressor
from skopt.learning.gaussian_process.kernels import ConstantKernel, Kernel, WhiteKernel

from orchestrator.searchers.cube import Array
from orchestrator.searchers.features import Features
from orchestrator.searchers.kernel import MixedKernel

LEAST = 1e-12  # variance
JITTER = 1e-6  # keeps the covariance of nearly equal points positive definite
STEPS = 40  # evaluations of the likelihood in a fit
VARIANCE = (0.0, 1.0)  # mean and deviation of what is expected of the logarithm of the scores' variance,
NOISE = (-7.5, 2.5)  # of that of the noise's variance
LENGTH = (-1.0, 1.0)  # and of those of the lengths, for one dimension; they grow with the root of the dimensions


@dataclass(frozen=True)
class Hyperparameters:
    """What a fit finds: the variance of scores, of their noise, and the kernel of variance 1."""

    variance: float
    noise: float
    kernel: MixedKernel


class _Process(GaussianProcessRegressor):  # type: ignore[misc]
    """Scikit-optimize's process, whose hyperparameters are those of greatest posterior instead of likelihood.

    Weak log-normal priors instead of hard bounds keep a fit to few points sane (Hvarfner et al. 2024, "Vanilla
    Bayesian Optimization Performs Great in High Dimensions").
    """

    def __init__(self, kernel: Kernel, means: Array, deviations: Array, alpha: Array) -> None:
        super().__init__(kernel, alpha=alpha, optimizer=_climb, noise="gaussian")
        self.means, self.deviations = means, deviations

    def log_marginal_likelihood(self, theta=None, eval_gradient=False, clone_kernel=True):  # type: ignore[no-untyped-def]
        """The logarithm of likelihood times prior, and its gradient."""
        found = super().log_marginal_likelihood(theta, eval_gradient, clone_kernel)
        if not eval_gradient:
            return found
        away = (theta - self.means) / self.deviations
        return found[0] - np.sum(away**2) / 2, found[1] - away / self.deviations


def fit(features: Features, inputs: Array, scores: Array, noises: Array) -> Hyperparameters:
    """The hyperparameters for scores (n,) at inputs (n, f), the variances of whose noise are known to be `noises`."""
    count = features.count
    length = LENGTH[0] + np.log(max(count, 1)) / 2
    means, deviations = np.array([VARIANCE, *[(length, LENGTH[1])] * count, NOISE]).T
    shape = MixedKernel(np.full(count, np.exp(length)), features.groups, features.numbers)
    if len(scores) < 2:
        return Hyperparameters(float(np.exp(VARIANCE[0])), float(np.exp(NOISE[0])), shape)
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * shape + WhiteKernel(0.01, (1e-6, 2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length at its bound: a parameter that does not matter
        found = _Process(kernel, means, deviations, noises + JITTER).fit(inputs, scores)
    product = found.kernel_.k1
    return Hyperparameters(product.k1.constant_value, found.noise_, product.k2)


def _climb(objective, start, bounds):  # type: ignore[no-untyped-def]
    found = minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxfun": STEPS})
    return found.x, found.fun


class Posterior:
    """What is known of scores everywhere, given some of them.

    Args:
        inputs: (n, f).
        scores: (n,).
        noises: (n,), known variances of noise, beside that which was fitted.
    """

    def __init__(self, model: Hyperparameters, inputs: Array, scores: Array, noises: Array) -> None:
        self._model = model
        self._inputs = inputs
        self._inverse = _inverse_factor(self._covariance(inputs, inputs), noises + model.noise)
        self._weights = self._inverse.T @ (self._inverse @ scores)

    def mean(self, inputs: Array) -> Array:
        """The expected scores (m,) at inputs (m, f)."""
        expected: Array = self._covariance(inputs, self._inputs[: len(self._weights)]) @ self._weights
        return expected

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Means and standard deviations (m,) of the scores without noise at inputs (m, f)."""
        cross = self._covariance(inputs, self._inputs)
        means = cross[:, : len(self._weights)] @ self._weights
        known = np.sum((self._inverse @ cross.T) ** 2, axis=0)
        return means, np.sqrt(np.maximum(self._model.variance - known, LEAST))

    def believing(self, pending: Array) -> Self:
        """The same after the scores at inputs (p, f) have come out as expected: means stay, deviations shrink.

        This is the kriging believer (Ginsbourger et al. 2010, "Kriging Is Well-Suited to Parallelize Optimization"),
        by a block of the Cholesky factor instead of a new one.
        """
        cross = self._inverse @ self._covariance(self._inputs, pending)
        rest = self._covariance(pending, pending) - cross.T @ cross
        corner = _inverse_factor(rest, np.full(len(pending), self._model.noise))
        believing = copy(self)
        believing._inputs = np.concatenate([self._inputs, pending])
        upper = np.concatenate([self._inverse, np.zeros(cross.shape)], axis=1)
        lower = np.concatenate([-corner @ cross.T @ self._inverse, corner], axis=1)
        believing._inverse = np.concatenate([upper, lower])
        return believing

    def _covariance(self, left: Array, right: Array) -> Array:
        covariance: Array = self._model.kernel(left, right)
        covariance *= self._model.variance
        return covariance


def _inverse_factor(covariance: Array, noises: Array) -> Array:
    """The inverse of the lower Cholesky factor of a covariance (n, n) with noise on its diagonal."""
    if not len(covariance):
        return covariance
    covariance[np.diag_indices_from(covariance)] += noises + JITTER
    factor: Array = dtrtri(cholesky(covariance, lower=True, check_finite=False), lower=1)[0]
    return factor
