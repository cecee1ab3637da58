"""The trials of one configuration, which differ by their seed, as one observation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

from orchestrator.searchers import Observation


def average(repeats: Sequence[Observation]) -> Observation:
    """What one trial or more of one configuration have shown together.

    The loss is the mean of theirs, and its variance that of a mean, estimated from the sample. The curve is the mean
    over the epochs that all have; where one was stopped early, only these count. Those that failed are left out, unless
    all did.
    """
    usable = [shown for shown in repeats if not shown.failed] or list(repeats[:1])
    if len(usable) == 1:
        return usable[0]
    curve = tuple(fmean(losses) for losses in zip(*(shown.curve for shown in usable), strict=False))
    complete = all(shown.complete for shown in usable)
    common = None if complete else len(curve)
    losses = [min(shown.curve[:common], default=shown.loss) for shown in usable]
    return Observation(
        config=usable[0].config,
        loss=fmean(losses),
        budget=len(curve) or min(shown.budget for shown in usable),
        cost=fmean(shown.cost for shown in usable),
        curve=curve,
        repeats=len(usable),
        variance=variance(losses) / len(usable) if all(map(math.isfinite, losses)) else math.nan,
        complete=complete,
    )
