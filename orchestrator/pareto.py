"""Who is beaten by whom where two numbers are both to be small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def ranks(points: Sequence[Point]) -> list[int]:
    """The front that each point is on: 0 is beaten by none, 1 only by points of front 0, and so on (non-dominated
    sorting; Deb et al. 2002, section III-A)."""
    beats = _beats(points)
    rank, left = np.zeros(len(points), int), np.ones(len(points), bool)
    for front in range(len(points)):
        now = left & ~(beats & left[:, None]).any(axis=0)
        rank[now] = front
        left &= ~now
    return [int(front) for front in rank]


def share_that_beats(others: Sequence[Point], point: Point) -> float:
    """The fraction of `others` that beat `point`; 0 where there are none."""
    return float(_beats([*others, point])[:-1, -1].mean()) if others else 0.0


def _beats(points: Sequence[Point]) -> np.ndarray:
    """(n, n): whether the one in the row is at least as small in both numbers as the one in the column, and not equal.

    NaN counts as infinity.
    """
    values = np.nan_to_num(np.array(points, float).reshape(-1, 2), nan=np.inf, posinf=np.inf)
    no_worse = (values[:, None] <= values[None]).all(axis=2)
    beats: np.ndarray = no_worse & ~(values[:, None] == values[None]).all(axis=2)
    return beats
