"""The covariance of losses at two configurations, in the terms of scikit-optimize."""

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import StationaryKernelMixin
from skopt.learning.gaussian_process.kernels import Hyperparameter, Kernel

from orchestrator.searchers.cube import Array

ROOT5 = np.sqrt(5.0)


class MixedKernel(StationaryKernelMixin, Kernel):  # type: ignore[misc]
    """scikit-optimize's Matern(nu=2.5) over numbers times its HammingKernel over choices, by matrix products.

    Args:
        lengths: (g,) of each parameter the difference after which losses are little alike. Of a choice it is the
            inverse of HammingKernel's length scale.
        groups: (f,), the parameter that each column belongs to.
        numbers: how many of the columns, the first ones, are of numbers; the others are one-hot.
    """

    def __init__(
        self,
        lengths: Array,
        groups: NDArray[np.intp],
        numbers: int,
        lengths_bounds: tuple[float, float] = (0.02, 100.0),
    ) -> None:
        self.lengths = lengths
        self.groups = groups
        self.numbers = numbers
        self.lengths_bounds = lengths_bounds

    @property
    def hyperparameter_lengths(self) -> Hyperparameter:
        """What scikit-learn fits."""
        return Hyperparameter("lengths", "numeric", self.lengths_bounds, np.size(self.lengths))

    def __call__(self, left: Array, right: Array | None = None, eval_gradient: bool = False) -> Array:
        """The covariances (n, m), and on wish (m = n) their gradient (n, n, g) by the logarithms of the lengths."""
        right = left if right is None else right
        root, decay = self._parts(left, right)
        covariance = (1 + root + root**2 / 3) * decay
        if not eval_gradient:
            return covariance
        slopes = [self._slope(group, left, root, decay, covariance) for group in range(np.size(self.lengths))]
        return covariance, np.stack(slopes, axis=-1)  # type: ignore[return-value]

    def diag(self, points: Array) -> Array:
        """The variances (n,)."""
        return np.ones(len(points))

    def _parts(self, left: Array, right: Array) -> tuple[Array, Array]:
        """Of each pair (n, m) the distance in numbers, times the root of 5, and how much is left of the likeness."""
        lengths = np.atleast_1d(self.lengths)[self.groups]  # scikit-learn makes one length a number
        scales = np.concatenate([ROOT5 / lengths[: self.numbers], 1 / np.sqrt(2 * lengths[self.numbers :])])
        a, b = left * scales, right * scales
        root = np.sqrt(_squares(a[:, : self.numbers], b[:, : self.numbers]))
        exponent = -root
        if self.numbers < len(scales):
            exponent -= _squares(a[:, self.numbers :], b[:, self.numbers :])
        return root, np.exp(exponent)

    def _slope(self, group: int, points: Array, root: Array, decay: Array, covariance: Array) -> Array:
        columns, length = np.flatnonzero(self.groups == group), np.atleast_1d(self.lengths)[group]
        squares = np.sum((points[:, None, columns] - points[None, :, columns]) ** 2, axis=-1)
        if columns[0] < self.numbers:
            slope: Array = 5 / 3 / length**2 * (1 + root) * decay * squares
        else:
            slope = covariance * squares / (2 * length)
        return slope


def _squares(a: Array, b: Array) -> Array:
    """The squared distances (n, m) of points (n, f) and (m, f)."""
    squares: NDArray[np.float64] = a @ b.T
    squares *= -2.0
    squares += np.sum(a**2, axis=1)[:, None]
    squares += np.sum(b**2, axis=1)
    return np.maximum(squares, 0.0, out=squares)
