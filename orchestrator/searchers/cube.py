"""The unit cube of a space as arrays: what points of it stand for, and steps from one configuration to another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces import Choice, Config, Domain, Space, When
from search_spaces.space import INACTIVE

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LISTED = 4096  # a finite domain of more values counts as a continuum, except that nothing is proposed twice


class Cube:
    """Turns points (n, d) of the unit cube into those of whole configurations, all at once.

    Attributes:
        cells: of each parameter the coordinates of its values in order, or None for a continuum.
        choices: (d,), which parameters have values without an order.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.cells = [_cells(domain) for domain in space.domains.values()]
        self.choices: Mask = np.array([isinstance(domain, Choice) for domain in space.domains.values()])
        self._conditions = [self._allowed(name) for name in space.names]

    def place(self, configs: Sequence[Config]) -> Array:
        """The points (n, d) of valid configurations."""
        return np.array([self.space.to_unit(config) for config in configs]).reshape(-1, len(self.cells))

    def snap(self, points: Array) -> Array:
        """The points of the configurations that `points` stand for: what is off is at INACTIVE."""
        snapped = np.clip(points, 0.0, 1.0)
        for column, cells in enumerate(self.cells):
            if cells is not None:
                snapped[:, column] = cells[_nearest(cells, snapped[:, column])]
        return np.where(self.active(snapped), snapped, INACTIVE)

    def active(self, points: Array) -> Mask:
        """Which parameters (n, d) are on at snapped points (n, d)."""
        on = np.ones(points.shape, dtype=np.bool_)
        for column, conditions in enumerate(self._conditions):
            for parent, allowed in conditions.items():
                on[:, column] &= on[:, parent] & np.isin(points[:, parent], allowed)
        return on

    def allows(self, points: Array) -> Mask:
        """Which of the snapped points (n, d) fulfil the constraints of the space."""
        if not self.space.constraints:
            return np.ones(len(points), dtype=np.bool_)
        return np.array([self.space.contains(self.space.from_unit(point)) for point in points], dtype=np.bool_)

    def index(self, column: int, places: Array) -> NDArray[np.intp]:
        """Which values of a finite parameter the coordinates (n,) stand for."""
        cells = self.cells[column]
        assert cells is not None
        return _nearest(cells, places)

    def step(self, points: Array, sizes: Array, moving: Mask, rng: np.random.Generator) -> Array:
        """Snapped points (n, d), moved in the coordinates `moving` by about `sizes` (n, 1).

        Values in order move at least to a neighbour; a choice takes any other of its options.
        """
        steps = np.where(moving, sizes * rng.standard_normal(points.shape), 0.0)
        moved = points + steps
        for column, cells in enumerate(self.cells):
            if cells is not None and len(cells) > 1:
                at = _nearest(cells, points[:, column])
                if self.choices[column]:
                    others = (at + rng.integers(1, len(cells), size=len(at))) % len(cells)
                else:
                    near = _nearest(cells, moved[:, column])
                    neighbour = np.clip(at + np.sign(steps[:, column]).astype(np.intp), 0, len(cells) - 1)
                    others = np.where(near == at, neighbour, near)
                moved[:, column] = cells[np.where(moving[:, column], others, at)]
        return self.snap(moved)

    def _allowed(self, name: str) -> dict[int, list[float]]:
        """The conditions of a parameter: the coordinates that others must have for it to be on."""
        parameter = self.space.parameters[name]
        if not isinstance(parameter, When):
            return {}
        return {
            self.space.names.index(parent): [self.space.domains[parent].to_unit(value) for value in values]
            for parent, values in parameter.conditions.items()
        }


def _cells(domain: Domain) -> Array | None:
    if domain.size is None or domain.size > LISTED:
        return None
    return np.array([domain.to_unit(value) for value in domain.values()])


def _nearest(cells: Array, coordinates: Array) -> NDArray[np.intp]:
    return np.searchsorted((cells[1:] + cells[:-1]) / 2, coordinates, side="right")
