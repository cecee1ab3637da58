"""What the regrets of many searches add up to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]

RESAMPLES = 10_000


def interval(regrets: Array, seed: int = 0) -> tuple[float, float]:
    """The bootstrap 95% interval of the mean of `regrets` (tasks, seeds).

    The percentile method (Efron and Tibshirani 1993, chapter 13). Seeds are drawn anew within each task, since the
    tasks are chosen and not a sample.
    """
    tasks, seeds = regrets.shape
    rng = np.random.default_rng(seed)
    means = np.zeros(RESAMPLES)
    for row in regrets:
        means += row[rng.integers(seeds, size=(RESAMPLES, seeds))].mean(axis=1) / tasks
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def mean_ranks(regrets: Mapping[str, Array]) -> dict[str, float]:
    """The mean over tasks and seeds of each contender's rank; 1 is the best, equal ones share theirs."""
    ranks = rankdata(np.stack(list(regrets.values())), axis=0)
    return {name: float(rank.mean()) for name, rank in zip(regrets, ranks, strict=True)}
