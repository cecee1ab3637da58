"""What the losses of trials that were stopped, or still run, say about the losses of whole ones.

ASHA compares trials at rungs, and most of them end at a low one. Their loss there is an observation at a low budget: it
says what the final loss would be as well as the trials that went on show it, and no better.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from orchestrator.searchers.base import Observation
from orchestrator.searchers.cube import Array

BELIEF = 4.0  # so many pairs weighs the belief that differences between trials stay as they are from rung to rung
STEEPEST = 3.0  # growth of such differences from one rung to the next
TINY = 1e-300


def losses_at(seen: Observation, rungs: Sequence[int]) -> list[float]:
    """The lowest loss up to each rung, NaN at those that it has not reached or where it had none.

    The loss of a complete trial is the last rung's, too, and so is any without rungs or of unknown epochs.
    """
    nothing = [math.nan] * max(len(rungs), 1)
    if not rungs or not seen.budget or (seen.complete and not seen.curve):
        return [*nothing[1:], seen.loss]
    if not seen.curve:
        reached = sum(rung <= seen.budget for rung in rungs)
        return [seen.loss if n == reached - 1 else math.nan for n in range(len(rungs))]
    best = list(accumulate((loss if math.isfinite(loss) else math.inf for loss in seen.curve), min))
    losses = [best[rung - 1] if rung <= len(best) and best[rung - 1] < math.inf else math.nan for rung in rungs]
    return [*losses[:-1], seen.loss] if seen.complete else losses


def final_losses(losses: Array) -> tuple[Array, Array]:
    """What to expect of the final losses (n,), and the variances (n,) of that, given the losses (n, r) at r rungs.

    From rung to rung a loss becomes a linear function of itself, fitted to the trials that have both; the variance is
    that of what the functions leave unexplained, summed over the rungs that a trial has not reached. A trial without
    any loss has NaN.
    """
    expected, variances = losses[:, 0], np.zeros(len(losses))
    for before, after in zip(losses.T[:-1], losses.T[1:], strict=True):
        level, slope, spread = _relation(before, after)
        missing = np.isnan(after)
        expected = np.where(missing, level + slope * expected, after)
        variances = np.where(missing, slope**2 * variances + spread, 0.0)
    return expected, variances


def _relation(before: Array, after: Array) -> tuple[float, float, float]:
    """The line from the losses (n,) at one rung to those at the next: level, slope, and the variance around it."""
    both = np.isfinite(before) & np.isfinite(after)
    seen = before[np.isfinite(before)]
    typical = float(np.var(seen)) if len(seen) else 0.0
    if not both.any():
        return 0.0, 1.0, typical
    x, y = before[both], after[both]
    dx, dy = x - x.mean(), y - y.mean()
    prior = BELIEF * float(np.mean(dx**2)) + TINY
    slope = min(max((float(dx @ dy) + prior) / (float(dx @ dx) + prior), 0.0), STEEPEST)
    spread = (float(np.sum((dy - slope * dx) ** 2)) + typical) / (len(x) + 1)
    return float(y.mean() - slope * x.mean()), slope, spread
