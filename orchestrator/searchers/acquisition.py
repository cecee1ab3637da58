"""What a proposal is worth."""

import numpy as np
from scipy.special import erfcx, log_ndtr

from orchestrator.searchers.cube import Array

LOG_ROOT_2PI = np.log(2 * np.pi) / 2
LOG_ROOT_HALF_PI = np.log(np.pi / 2) / 2
FAR = -1e6


def log_expected_improvement(means: Array, deviations: Array, best: float) -> Array:
    """The logarithm of the expected improvement on `best`, where lower is better, to full precision everywhere.

    Where expected improvement itself underflows to 0, its logarithm still tells points apart (Ament et al. 2023,
    "Unexpected Improvements to Expected Improvement for Bayesian Optimization", section 4.1).
    """
    logarithms: Array = np.log(deviations) + _log_h((best - means) / deviations)
    return logarithms


def _log_h(z: Array) -> Array:
    """log(pdf(z) + z cdf(z)) of the standard normal distribution."""
    near, below = np.maximum(z, -1.0), np.clip(z, FAR, -1.0)
    direct = np.log(np.exp(-(near**2) / 2 - LOG_ROOT_2PI) + near * np.exp(log_ndtr(near)))
    ratio = np.log(erfcx(-below / np.sqrt(2)) * -below) + LOG_ROOT_HALF_PI
    tail = -(below**2) / 2 - LOG_ROOT_2PI + np.log(-np.expm1(np.minimum(ratio, -1e-300)))
    farthest = -(z**2) / 2 - LOG_ROOT_2PI - 2 * np.log(np.maximum(-z, 1.0))
    logarithms: Array = np.where(z > -1, direct, np.where(z > FAR / 100, tail, farthest))
    return logarithms
