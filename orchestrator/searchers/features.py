"""Configurations as inputs of a kernel."""

import numpy as np
import skopt.space
from numpy.typing import NDArray

from orchestrator.searchers.cube import Array, Cube
from search_spaces import Choice, Domain, LogInt, When


class Features:
    """Turns snapped points of a space's unit cube into inputs of a kernel: columns of numbers, then of options.

    A number keeps its place in [0, 1], where scikit-optimize's spaces put it. One that can be off has two columns:
    its point on an arc of the unit circle, and the centre while it is off, which is equally far from all of them
    (the cylindrical embedding of Swersky et al. 2014, "Raiders of the Lost Architecture"). A choice is one-hot,
    and being off is one more option. What never varies has no column.

    Attributes:
        count: how many parameters vary.
        groups: (f,), the parameter that each column belongs to, counted among those that vary.
        numbers: how many of the columns are of numbers.
    """

    def __init__(self, cube: Cube) -> None:
        self._cube = cube
        parameters = list(cube.space.parameters.values())
        domains = list(cube.space.domains.values())
        varying = [i for i, domain in enumerate(domains) if domain.size != 1]
        self._numbers = [i for i in varying if not isinstance(domains[i], Choice)]
        self._options = [i for i in varying if isinstance(domains[i], Choice)]
        self._optional = [isinstance(parameter, When) for parameter in parameters]
        self._tables = {i: _table(domains[i]) for i in varying if cube.cells[i] is not None}
        self.count = len(varying)
        owners = [[g] * self._width(i) for g, i in enumerate(self._numbers + self._options)]
        self.groups: NDArray[np.intp] = np.array([g for owner in owners for g in owner], dtype=np.intp)
        self.numbers = sum(self._width(i) for i in self._numbers)

    def __call__(self, points: Array) -> Array:
        """Snapped points (n, d) to features (n, f)."""
        on = self._cube.active(points) if any(self._optional) else np.ones(points.shape, dtype=np.bool_)
        columns = [self._number(i, points[:, i], on[:, i]) for i in self._numbers]
        columns += [self._choice(i, points[:, i], on[:, i]) for i in self._options]
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(points), 0))

    def _width(self, column: int) -> int:
        if column in self._options:
            return int(self._tables[column].shape[1]) + self._optional[column]
        return 1 + self._optional[column]

    def _number(self, column: int, places: Array, on: NDArray[np.bool_]) -> Array:
        if column in self._tables:
            places = self._tables[column][self._cube.index(column, places), 0]
        if not self._optional[column]:
            return places[:, None]
        return np.where(on[:, None], np.stack([np.cos(places), np.sin(places)], axis=1), 0.0)

    def _choice(self, column: int, places: Array, on: NDArray[np.bool_]) -> Array:
        hot = self._tables[column][self._cube.index(column, places)]
        if not self._optional[column]:
            return hot
        return np.concatenate([np.where(on[:, None], hot, 0.0), ~on[:, None]], axis=1)


def _table(domain: Domain) -> Array:
    """What scikit-optimize makes of each value: (n, 1) places in [0, 1] of numbers, (n, n) codes of options."""
    places = range(len(domain.values()))
    if isinstance(domain, Choice):
        codes = np.asarray(skopt.space.Categorical(places, transform="onehot").transform(places), dtype=np.float64)
        return codes if len(places) > 2 else np.concatenate([1 - codes, codes], axis=1)
    if isinstance(domain, LogInt):
        dimension = skopt.space.Integer(domain.low, domain.high, prior="log-uniform", transform="normalize")
        return np.asarray(dimension.transform(domain.values()), dtype=np.float64)[:, None]
    dimension = skopt.space.Integer(0, len(places) - 1, transform="normalize")
    return np.asarray(dimension.transform(places), dtype=np.float64)[:, None]
