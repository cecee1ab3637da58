"""The observations of a search as arrays, of which a longer list of observations only adds what is new."""

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from operator import is_

import numpy as np

from orchestrator.searchers.base import Key, Observation
from orchestrator.searchers.cube import Array, Cube, Mask
from orchestrator.searchers.fidelity import losses_at
from search_spaces import Config, SpaceError
from search_spaces.space import INACTIVE

HUGE = 1e100  # losses beyond it count as it, so that squares of their differences stay finite


class History:
    """Rows of what is known, one for each observation; made once, as encoding a configuration takes its time.

    Attributes:
        unchanged: how many rows were there before the last update as they are now.
    """

    def __init__(self, cube: Cube, rungs: Sequence[int]) -> None:
        self._cube, self._rungs = cube, rungs
        self._places: dict[Key, Array | None] = {}
        self._done: list[Observation] = []
        self._keys: list[Key] = []
        self._tried: Counter[Key] = Counter()
        self._points = np.empty((64, len(cube.cells)))
        self._losses = np.empty((64, max(len(rungs), 1)))
        self._others = np.empty((64, 5))
        self.unchanged = 0

    def __len__(self) -> int:
        return len(self._done)

    def update(self, done: Sequence[Observation]) -> None:
        """Makes the rows those of `done`."""
        self.unchanged = _common(self._done, done)
        for name in self._own(self.unchanged):
            self._tried[name] -= 1
            if not self._tried[name]:
                del self._tried[name]
        changing = slice(self.unchanged, len(self))
        old = self._done  # kept until the end, so that no id is another's
        known = {id(seen): row for row, seen in enumerate(old[changing])}
        rows = [columns[changing].copy() for columns in (self._points, self._losses, self._others)]
        self._done = old[: self.unchanged]
        del self._keys[self.unchanged :]
        for seen in done[self.unchanged :]:
            row = known.get(id(seen))
            self._add(seen, self._encoded(seen) if row is None else [columns[row] for columns in rows])

    def tried(self, config: Key) -> bool:
        """Whether this search has tried the configuration."""
        return config in self._tried

    def count_tried(self, pending: Iterable[Key]) -> int:
        """How many configurations this search has tried or is trying."""
        return len(self._tried) + sum(name not in self._tried for name in pending)

    def settled(self, pending: Container[Key]) -> int:
        """How many rows are left without those at the end whose trials are still running."""
        count = len(self)
        while count and self._keys[count - 1] in pending:
            count -= 1
        return count

    def place(self, name: Key, config: Config) -> Array | None:
        """The point (d,) of a configuration of that key, or None where it is outside the space."""
        if name not in self._places:
            try:
                self._places[name] = self._cube.space.to_unit(config)
            except SpaceError:
                self._places[name] = None
        return self._places[name]

    @property
    def points(self) -> Array:
        """(n, d) in the unit cube; those of configurations outside the space mean nothing."""
        return self._points[: len(self)]

    @property
    def own_points(self) -> Array:
        """(m, d), those of configurations of the space that this search has tried."""
        return self.points[self.inside & (self._others[: len(self), 4] > 0)]

    @property
    def losses(self) -> Array:
        """(n, r), the lowest loss up to each rung, NaN at those not reached."""
        return np.clip(self._losses[: len(self)], -HUGE, HUGE)

    @property
    def inside(self) -> Mask:
        """(n,), whether the configuration is one of the space."""
        return self._others[: len(self), 0] > 0

    @property
    def failed(self) -> Mask:
        """(n,), whether the trial gave no loss."""
        return self._others[: len(self), 1] > 0

    @property
    def variances(self) -> Array:
        """(n,), of the losses, as far as repeats tell; else 0."""
        return self._others[: len(self), 2]

    @property
    def costs(self) -> Array:
        """(n,), seconds an epoch; NaN where unknown."""
        return self._others[: len(self), 3]

    def _own(self, start: int) -> list[Key]:
        """The configurations from row `start` on that are of this search."""
        return [n for n, seen in zip(self._keys[start:], self._done[start:], strict=True) if not seen.prior]

    def _add(self, seen: Observation, row: Sequence[Array]) -> None:
        if len(self) == len(self._points):
            self._points, self._losses, self._others = (
                np.concatenate([rows, np.empty_like(rows)]) for rows in (self._points, self._losses, self._others)
            )
        self._points[len(self)], self._losses[len(self)], self._others[len(self)] = row
        if not seen.prior:
            self._tried[seen.key] += 1
        self._keys.append(seen.key)
        self._done.append(seen)

    def _encoded(self, seen: Observation) -> list[Array]:
        """Its row of points, of losses and of others."""
        place = self.place(seen.key, seen.config)
        point = np.full(len(self._cube.cells), INACTIVE) if place is None else place
        variance = seen.variance if math.isfinite(seen.variance) else 0.0
        cost = seen.cost / max(seen.budget, 1) if seen.cost > 0 else math.nan
        others = place is not None, seen.failed, variance, cost, not seen.prior
        return [point, np.array(losses_at(seen, self._rungs)), np.array(others, np.float64)]


def _common(before: Sequence[Observation], now: Sequence[Observation]) -> int:
    """How many observations at the beginning are the very same."""
    same = list(map(is_, before, now))
    return same.index(False) if False in same else len(same)
