"""Losses on a scale on which a Gaussian process can model them."""

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from orchestrator.searchers.cube import Array


def half_rank(losses: Array) -> Array:
    """Scores (n,) of finite losses (n,), about standard normal, lower for the better.

    The half better than the median keeps its distances from it; of the others only the rank counts, as a normal
    quantile (the half-rank warping of Song et al. 2024, "The Vizier Gaussian Process Bandit Algorithm"). So no terrible
    trial flattens the differences among the good ones.
    """
    gains = np.maximum(np.median(losses) - losses, 0.0)
    good = gains > 0
    if not good.any():
        return np.zeros(len(losses))
    gains /= gains.max()
    quantiles = ndtri((rankdata(losses) - 0.5) / len(losses))
    scores: Array = np.where(good, -gains / np.sqrt(np.mean(gains[good] ** 2)), np.maximum(quantiles, 0.0))
    return scores


def scaled_variances(losses: Array, scores: Array, variances: Array) -> Array:
    """The variances (n,) of losses on the scale of their scores: by the scores a deviation below and above each."""
    order, deviations = np.argsort(losses, kind="stable"), np.sqrt(variances)
    low, high = (np.interp(losses + sign * deviations, losses[order], scores[order]) for sign in (-1, 1))
    squares: Array = ((high - low) / 2) ** 2
    return squares
