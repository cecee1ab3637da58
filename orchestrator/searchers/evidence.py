"""What the observations say to the model: where they are, how good, and how sure that is."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from orchestrator.searchers.cube import Array
from orchestrator.searchers.fidelity import final_losses
from orchestrator.searchers.history import History
from orchestrator.searchers.scores import half_rank, scaled_variances

ALIKE = 0.05  # scores this near are as good: ever smaller steps down into one valley are no news of a better one


@dataclass(frozen=True)
class Evidence:
    """Scores of configurations, lower for the better.

    Attributes:
        points: (n, d) in the unit cube.
        scores: (n,), about standard normal.
        variances: (n,), of the scores' noise, as far as it is known.
        usable: how many of them are of trials that did not fail.
    """

    points: Array
    scores: Array
    variances: Array
    usable: int

    @classmethod
    def of(cls, history: History, count: int) -> Self:
        """What the first `count` observations say; failed trials are as bad as the worst other one.

        Those outside the space, or without any loss yet, say nothing.
        """
        inside, failed = history.inside[:count], history.failed[:count]
        expected, spread = final_losses(np.where(failed[:, None], np.nan, history.losses[:count]))
        usable = inside & np.isfinite(expected)
        if not usable.any():
            return cls(history.points[:0], np.empty(0), np.empty(0), 0)
        worst = expected[usable].max()
        kept = usable | (inside & failed)
        losses = np.where(failed, worst, expected)[kept]
        variances = np.where(failed, 0.0, spread + history.variances[:count])[kept]
        scores = half_rank(losses)
        return cls(history.points[:count][kept], scores, scaled_variances(losses, scores, variances), int(usable.sum()))

    @property
    def since_best(self) -> int:
        """How many observations have come after the first that is about as good as the best one."""
        if not len(self.scores):
            return 0
        return len(self.scores) - 1 - int(np.argmax(self.scores <= self.scores.min() + ALIKE))

    def some(self, most: int) -> Self:
        """At most `most` of it: the best half, and others spread evenly over their order."""
        if len(self.scores) <= most:
            return self
        order = np.argsort(self.scores, kind="stable")
        best, others = order[: most // 2], order[most // 2 :]
        spread = others[np.linspace(0, len(others) - 1, most - len(best)).round().astype(np.intp)]
        kept = np.sort(np.concatenate([best, spread]))
        return type(self)(self.points[kept], self.scores[kept], self.variances[kept], self.usable)
