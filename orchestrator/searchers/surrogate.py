"""The model behind Bayesian search: scikit-optimize's Gaussian process over points of the unit cube.

Of the worse half of the trials only the ranks count, so that no terrible trial flattens the differences among
the good ones.
"""

import warnings

import numpy as np
import skopt.space
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from skopt.acquisition import gaussian_ei
from skopt.learning import GaussianProcessRegressor
from skopt.learning.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel

from search_spaces import Choice, Space

Array = NDArray[np.float64]

JITTER = 1e-6  # keeps the covariance of nearly equal points positive definite
MOST = 100  # so many losses at most decide on the kernel; fitting it takes their number cubed, many times
HUGE = 1e100  # losses beyond it count as it, so that differences of losses stay finite


class Features:
    """Turns points of a space's unit cube into inputs of a kernel.

    Numbers keep their coordinate, a choice becomes one-hot (its options are all equally far apart) and what
    never varies is dropped.
    """

    def __init__(self, space: Space) -> None:
        domains = list(space.domains.values())
        self._columns = [i for i, domain in enumerate(domains) if domain.size != 1]
        varying = [domains[i] for i in self._columns]
        self._options = np.array([d.size if isinstance(d, Choice) else 0 for d in varying], dtype=np.int64)
        self._dimensions = skopt.space.Space([_dimension(int(options)) for options in self._options])

    def __call__(self, points: Array) -> Array:
        """(n, d) coordinates in [0, 1] to (n, f) features."""
        rows = points[:, self._columns].tolist()
        for column, options in enumerate(self._options.tolist()):
            if options:
                for row in rows:
                    row[column] = min(int(row[column] * options), options - 1)
        return np.asarray(self._dimensions.transform(rows), dtype=np.float64)


def _dimension(options: int) -> skopt.space.Dimension:
    if options:
        return skopt.space.Categorical(range(options), transform="onehot")
    return skopt.space.Real(0.0, 1.0)


def expected_improvement(candidates: Array, points: Array, losses: Array) -> Array:
    """Expected improvement (Jones et al. 1998) of each candidate (m, f), on the scale of `half_rank`.

    The first n of the points (n + p, f) have the finite losses (n,); the others are pending. These enter the
    model with the losses it expects of them (kriging believer; Ginsbourger et al. 2010): what it knows there
    becomes sure, so the next proposal goes elsewhere, while kernel and means stay those of the losses seen.
    """
    seen, pending = points[: len(losses)], points[len(losses) :]
    scores = half_rank(losses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length scale at its bound: a coordinate that does not matter
        some = _some(losses)
        kernel, noise = _fit(seen[some], scores[some])
        noises = np.full(len(seen), noise)
        model = _posterior(kernel, noises, seen, scores)
        if len(pending):
            believed = np.concatenate([scores, model.predict(pending)])
            model = _posterior(kernel, np.append(noises, np.zeros(len(pending))), points, believed)
        # The best mean rather than the best score: in noise a lucky score leaves no improvement to expect.
        gains: Array = gaussian_ei(candidates, model, y_opt=model.predict(points).min(), xi=0.0)
    return gains


def _some(losses: Array) -> NDArray[np.intp]:
    """The indices of all losses, or of MOST that are spread evenly over their order."""
    order = np.argsort(losses, kind="stable")
    return np.sort(order[np.linspace(0, len(order) - 1, min(len(order), MOST)).round().astype(np.intp)])


def half_rank(losses: Array) -> Array:
    """Scores (n,) of finite losses (n,), about standard normal, lower for the better.

    The half better than the median keeps its distances from it; of the others only the rank counts, as a normal
    quantile (the half-rank warping of Song et al. 2024, "The Vizier Gaussian Process Bandit Algorithm").
    """
    bounded = np.clip(losses, -HUGE, HUGE)
    gains = np.median(bounded) - bounded
    good = gains > 0
    if not good.any():
        return np.zeros(len(losses))
    gains /= gains.max()
    quantiles = norm.ppf((rankdata(bounded) - 0.5) / len(losses))
    scores: Array = np.where(good, -gains / np.sqrt(np.mean(gains[good] ** 2)), np.maximum(quantiles, 0.0))
    return scores


def _fit(features: Array, scores: Array) -> tuple[Kernel, float]:
    """Kernel and variance of the noise of greatest marginal likelihood."""
    width = features.shape[1]
    # From short lengths and little noise: a start with much of it often ends where everything is noise.
    shape = Matern(np.full(width, 0.3), [(0.05, 20.0)] * width, nu=2.5)
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * shape + WhiteKernel(0.01, (1e-5, 1.0))
    model = GaussianProcessRegressor(kernel, alpha=JITTER, noise="gaussian").fit(features, scores)
    return model.kernel_, model.noise_


def _posterior(kernel: Kernel, noises: Array, features: Array, scores: Array) -> GaussianProcessRegressor:
    """The process of this kernel, given scores with these variances of noise at these points."""
    return GaussianProcessRegressor(kernel, alpha=noises + JITTER, optimizer=None).fit(features, scores)
