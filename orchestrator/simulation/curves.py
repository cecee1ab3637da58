"""Recorded learning curves: what configurations came to, epoch by epoch, in an earlier run or a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.searchers.base import Key, key
from search_spaces import Choice, Config, Space


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One configuration as it was trained.

    Attributes:
        losses: after each epoch, always minimised.
        seconds: of each epoch; for a trial that failed, the failing epoch's may follow.
        status: how it ended. After the last loss a `failed` one fails, a `completed` one has no further epoch, and a
            `stopped` one, of which nothing further is known, stays as it is.
    """

    config: Config
    losses: tuple[float, ...]
    seconds: tuple[float, ...]
    status: Literal["completed", "stopped", "failed"] = "completed"

    def loss(self, epoch: int) -> float:
        """After that epoch, from 1; NaN where the training fails in it."""
        if epoch <= len(self.losses):
            return self.losses[epoch - 1]
        return math.nan if self.status == "failed" or not self.losses else self.losses[-1]

    def duration(self, epoch: int) -> float:
        """Seconds of that epoch; beyond what is recorded the mean of those before."""
        if epoch <= len(self.seconds):
            return self.seconds[epoch - 1]
        return sum(self.seconds) / len(self.seconds) if self.seconds else 0.0

    def ends_at(self, epoch: int) -> bool:
        """Whether training is complete after that epoch."""
        return self.status == "completed" and epoch >= len(self.losses)


def mean_curve(repeats: Sequence[Curve]) -> Curve:
    """The curve of one configuration that was trained once or more often: the mean, epoch by epoch.

    Repeats that completed count, or those that were stopped where none did; failed ones count only if all did. One that
    ended before others stays at its last loss.
    """
    usable = [curve for curve in repeats if curve.losses and curve.status != "failed"]
    completed = [curve for curve in usable if curve.status == "completed"]
    counted = completed or usable or list(repeats[:1])
    if len(counted) == 1:
        return counted[0]
    epochs = range(1, max(len(curve.losses) for curve in counted) + 1)
    return Curve(
        config=counted[0].config,
        losses=tuple(fmean(curve.loss(epoch) for curve in counted) for epoch in epochs),
        seconds=tuple(fmean(curve.duration(epoch) for curve in counted) for epoch in epochs),
        status="completed" if completed else "stopped",
    )


class Curves:
    """Curves of one space and metric, one of each configuration; `sign` turns the metric into a loss.

    Attributes:
        curves: repeats of one configuration are one curve, their mean.
        epochs: of the longest curve.
        best: the lowest loss of all that did not fail, the one that regret is counted from.
        scale: how much lower that is than the upper quartile of the curves' lowest losses: the unit of relative regret.
            The worst quarter, which may be arbitrarily bad, has no say in it.
    """

    def __init__(self, space: Space, metric: str, sign: float, curves: Sequence[Curve]) -> None:
        self.space, self.metric, self.sign = space, metric, sign
        repeats: dict[Key, list[Curve]] = {}
        for curve in curves:
            repeats.setdefault(key(curve.config), []).append(curve)
        self.curves = tuple(mean_curve(of_config) for of_config in repeats.values())
        finals = [min(curve.losses) if curve.losses and curve.status != "failed" else math.inf for curve in self.curves]
        self.epochs = max(len(curve.losses) for curve in self.curves)
        self.best = min(finals)
        self.scale = float(np.quantile([final for final in finals if final < math.inf], 0.75)) - self.best

    def __len__(self) -> int:
        return len(self.curves)

    def nearest(self, config: Config) -> Curve:
        """The curve of the nearest recorded configuration, of equals the first.

        Distances are Euclidean in the unit cube; two different options of a `Choice` are 1 apart. One neighbour is
        what Syne Tune's simulator, too, makes of a table that is no grid (Salinas et al. 2022).
        """
        apart = self._points - self.space.to_unit(config)
        apart[:, self._unordered] = apart[:, self._unordered] != 0
        return self.curves[int(np.argmin((apart * apart).sum(1)))]

    @cached_property
    def _points(self) -> NDArray[np.float64]:
        """The recorded configurations in the unit cube, (curves, parameters)."""
        return np.array([self.space.to_unit(curve.config) for curve in self.curves])

    @cached_property
    def _unordered(self) -> NDArray[np.bool_]:
        return np.array([isinstance(domain, Choice) for domain in self.space.domains.values()])
