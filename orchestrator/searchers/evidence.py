"""What the observations say to the model: where they are, how good, and how sure that is."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from orchestrator.searchers.cube import Array
from orchestrator.searchers.fidelity import final_losses
from orchestrator.searchers.history import History
from orchestrator.searchers.scores import half_rank, scaled_variances

ALL = True
SHARE = 0.0


@dataclass(frozen=True)
class Evidence:
    """Scores of configurations, lower for the better, a row for each rung that a trial has reached.

    Attributes:
        points: (n, d) in the unit cube.
        levels: (n,), how many rungs there are above it.
        scores: (n,), about standard normal.
        variances: (n,), of the scores' noise, as far as it is known.
        trials: how many trials it is of,
        usable: and how many of them did not fail.
    """

    points: Array
    levels: Array
    scores: Array
    variances: Array
    trials: int
    usable: int

    @classmethod
    def of(cls, history: History, count: int) -> Self:
        """What the first `count` observations say; failed trials are as bad as the worst other one."""
        inside, failed = history.inside[:count], history.failed[:count]
        losses, spread = final_losses(history.losses[:count])
        reached = np.isfinite(losses) & inside[:, None] & ~failed[:, None]
        usable = reached.any(axis=1)
        if not usable.any():
            nothing = np.empty(0)
            return cls(history.points[:0], nothing, nothing, nothing, 0, 0)
        last = losses.shape[1] - 1 - np.argmax(reached[:, ::-1], axis=1)
        whole = losses[np.arange(count), last]
        failed = failed & inside
        trials = usable | failed
        whole = np.where(failed, whole[usable].max(), whole)[trials]
        scores = half_rank(whole)
        if ALL:
            row, rung = np.nonzero(reached)
        else:
            row = np.flatnonzero(usable)
            rung = last[row]
        values = losses[row, rung]
        order = np.argsort(whole, kind="stable")
        each = np.interp(values, whole[order], scores[order])
        variances = scaled_variances(values, whole[order], scores[order], history.variances[row] + SHARE * spread[rung])
        lost = np.flatnonzero(failed)
        return cls(
            history.points[np.concatenate([row, lost])],
            np.concatenate([losses.shape[1] - 1.0 - rung, np.zeros(len(lost))]),
            np.concatenate([each, np.full(len(lost), scores.max())]),
            np.concatenate([variances, np.zeros(len(lost))]),
            int(trials.sum()),
            int(usable.sum()),
        )

    def some(self, most: int) -> Self:
        """At most `most` rows of it: the best half, and others spread evenly over their order."""
        if len(self.scores) <= most:
            return self
        order = np.argsort(self.scores, kind="stable")
        best, others = order[: most // 2], order[most // 2 :]
        spread = others[np.linspace(0, len(others) - 1, most - len(best)).round().astype(np.intp)]
        kept = np.sort(np.concatenate([best, spread]))
        return type(self)(
            self.points[kept], self.levels[kept], self.scores[kept], self.variances[kept], self.trials, self.usable
        )
