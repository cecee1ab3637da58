"""Where to look for the next configuration: everywhere, near the best, and uphill from what looks best so far."""

from collections.abc import Callable
from math import ceil, log2

import numpy as np
from scipy.stats import qmc

from orchestrator.searchers.cube import Array, Cube, Mask

Worth = Callable[[Array], Array]  # of points (n, d), the more the better
SMALLEST, LARGEST = 0.005, 0.3  # the standard deviation of such a step in the unit cube
STEPPING = 0.4  # the chance of each coordinate to take part in a step
CLIMBERS = 8  # the most promising candidates, which are made better
STEPS = 16  # of each of them in a round
SIZES = (0.1, 0.05, 0.03, 0.015, 0.01, 0.005, 0.002)  # of the steps in each round


def sobol(dimensions: int, least: int, rng: np.random.Generator) -> Array:
    """At least `least` points (n, d) of a scrambled Sobol' sequence; more of them begin with the same."""
    points: Array = qmc.Sobol(dimensions, rng=rng).random_base2(ceil(log2(least)))
    return points


def around(cube: Cube, points: Array, count: int, rng: np.random.Generator) -> Array:
    """`count` snapped points (n * count, d) by steps of many sizes from each of the points (n, d)."""
    starts = np.repeat(points, count, axis=0)
    sizes = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), (len(starts), 1)))
    return cube.step(starts, sizes, _moving(starts.shape, rng), rng)


def climb(cube: Cube, points: Array, worth: Worth, rng: np.random.Generator) -> tuple[Array, Array]:
    """Snapped points (n, d) and those that ever smaller steps from the best of them lead to, with their worth."""
    worths = worth(points)
    for size in SIZES:
        best = np.argpartition(-worths, min(CLIMBERS, len(worths) - 1))[:CLIMBERS]
        starts = np.repeat(points[best], STEPS, axis=0)
        sizes = size * np.exp(rng.uniform(-1, 1, (len(starts), 1)))
        steps = cube.step(starts, sizes, _moving(starts.shape, rng), rng)
        points, worths = np.concatenate([points, steps]), np.concatenate([worths, worth(steps)])
    return points, worths


def _moving(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    """Which coordinates take part in each step: at least one."""
    moving = rng.random(shape) < STEPPING
    moving[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] = True
    return moving
