"""The journal's events: the shape of each kind, and the checks that one passes before it is written or applied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

Event = dict[str, Any]

_COST = frozenset(["macs", "parameters", "share"])

_SHAPES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "session": {"slots": int},
    "prior": {"place": str, "observations": list},
    "propose": {"trial": str, "config": Mapping, "seconds": (int, float)},
    "start": {"trial": str},
    "epoch": {"trial": str, "metrics": Mapping, "timing": Mapping, "node": str, "finished": bool},
    "fault": {"trial": str, "error": str},
    "end": {"trial": str, "status": str, "error": str},
    "limit": {"reason": str},
    "model": {"row": Mapping},
    "note": {"trial": str, "text": str},
    "stop": {"reason": str, "searching": bool},
}
"""What an event of each kind must have; what else it has is not looked at."""


class UnknownEvent(ValueError):
    """An event of a kind that this version does not have; a newer one wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of a trial. Names of metrics are the training's own, and meet no name of ours.

    Attributes:
        number: from 1.
        metrics: the figures that were reported, by name; None is a figure that was not a number.
        seconds: of training and evaluation.
        timing: seconds by phase, since the trial's previous epoch.
        cost: of a student, its macs, its parameters and its share of the best parent's cost.
        finished: the trial trains no further epoch.
    """

    number: int
    metrics: Mapping[str, Any]
    seconds: float
    timing: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    node: str = ""
    finished: bool = False

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Self:
        """The epoch of a report or an event.

        Journals of earlier versions have the number, the seconds and a student's cost among the metrics. Raises
        KeyError, TypeError or ValueError for anything else.
        """
        metrics, ours = dict(report["metrics"]), report
        cost = dict(report.get("cost", {}))
        if "epoch" not in report:
            ours = {name: metrics.pop(name) for name in ("epoch", "seconds")}
            if all(isinstance(metrics.get(name), int | float) for name in _COST):
                cost = {name: metrics.pop(name) for name in sorted(_COST)}
        for name, value in metrics.items():
            if not isinstance(name, str) or not isinstance(value, int | float | None):
                raise ValueError(f"a metric cannot be {name!r}: {value!r}")
        return cls(
            number=int(ours["epoch"]),
            metrics=metrics,
            seconds=float(ours["seconds"]),
            timing=dict(report["timing"]),
            cost=cost,
            node=report["node"],
            finished=report["finished"],
        )

    def to_report(self) -> dict[str, Any]:
        """As plain data; what is left out is empty."""
        report = {
            "epoch": self.number,
            "metrics": self.metrics,
            "seconds": self.seconds,
            "timing": self.timing,
            "node": self.node,
            "finished": self.finished,
        }
        return {**report, "cost": self.cost} if self.cost else report

    def value(self, metric: str) -> float:
        """The figure of that name; NaN where there is none."""
        known = self.metrics.get(metric)
        return math.nan if known is None else float(known)


def check_event(event: Mapping[str, Any]) -> None:
    """Raises ValueError for an event that no record can take; UnknownEvent if its kind is not known."""
    kind = event.get("event")
    if kind not in _SHAPES:
        raise UnknownEvent(f"of the kind {kind!r}, which this version of halving does not know")
    for name, wanted in _SHAPES[kind].items():
        if not isinstance(event.get(name), wanted):
            raise ValueError(f"{name} of {kind} cannot be {event.get(name)!r}")
    if not isinstance(event.get("time"), int | float):
        raise ValueError(f"time of {kind} cannot be {event.get('time')!r}")
