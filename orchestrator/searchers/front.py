"""Two aims at once, by a searcher that knows one: each proposal weighs them anew."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orchestrator.searchers.base import Observation, Searcher, known_keys
from search_spaces import Config

OUTLIERS = 0.9
"""Losses above this quantile do not stretch the scale: a student that lost everything would make the others alike."""
BOTH = 0.05
"""How much the sum counts beside the larger of the two: of proposals with one aim alike, the better in the other."""


class TowardsFront:
    """What `searcher` proposes when it is told, in place of losses, a weighted mean of loss and share.

    ParEGO (Knowles 2006, section III): the weight is drawn for each proposal from the seed and the number of
    configurations known, and the two, each scaled to the range seen, are joined by the augmented Tchebycheff function.
    """

    def __init__(self, searcher: Searcher, seed: int) -> None:
        self._searcher, self._seed = searcher, seed

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The searcher's proposal for one more point of the front."""
        weight = float(np.random.default_rng([self._seed, len(known_keys(done, pending))]).random())
        usable = [shown for shown in done if _has_both(shown)]
        if not usable:
            return self._searcher.suggest(done, pending)
        losses, shares = np.array([[shown.loss, shown.share] for shown in usable]).T
        best, worst = losses.min(), np.quantile(losses, OUTLIERS)
        smallest, largest = shares.min(), shares.max()

        def joined(loss: float, share: float) -> float:
            aims = np.array([weight * _scaled(loss, best, worst), (1 - weight) * _scaled(share, smallest, largest)])
            return float(aims.max() + BOTH * aims.sum())

        def told(shown: Observation) -> Observation:
            curve = tuple(joined(loss, shown.share) for loss in shown.curve)
            return replace(shown, loss=joined(shown.loss, shown.share), curve=curve)

        return self._searcher.suggest([told(one) if _has_both(one) else one for one in done], pending)


def _has_both(shown: Observation) -> bool:
    return not shown.failed and bool(np.isfinite(shown.share))


def _scaled(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.0
