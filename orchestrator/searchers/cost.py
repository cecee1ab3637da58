"""How long a configuration trains, from how long others did."""

from collections.abc import Callable

import numpy as np

from orchestrator.searchers.cube import Array

FEWEST = 4  # measured costs without which all count as equal
RIDGE = 1.0  # the weight of the belief that a parameter does not matter, in observations


def log_costs(inputs: Array, costs: Array) -> Callable[[Array], Array]:
    """A function from inputs (m, f) to the logarithms (m,) of their expected costs, up to a constant.

    It is a ridge regression on the logarithms of measured costs (n,), seconds an epoch, at inputs (n, f): costs are
    mostly products of powers. NaN stands for a cost that is not known.
    """
    known = np.isfinite(costs)
    if known.sum() < FEWEST:
        return lambda inputs: np.zeros(len(inputs))
    x, y = inputs[known], np.log(costs[known])
    centre = x.mean(axis=0)
    x = x - centre
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    return lambda inputs: (inputs - centre) @ weights
