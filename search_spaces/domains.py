"""Domains of hyperparameters: small frozen values, checked when made.

Every plain domain maps onto the unit interval and back; sampling is that map applied to a uniform draw.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from search_spaces.errors import SpaceError, shorten
from search_spaces.values import as_python, equal_pair, fresh, hashable, in_words, plain, same

LARGEST_INT = 2**40  # beyond it a float64 in [0, 1] no longer tells neighbouring integers apart


class Domain(ABC):
    """The values one hyperparameter may take. `form` is the domain's name in YAML."""

    form: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of values; None where there is a continuum of them."""

    @abstractmethod
    def values(self) -> Sequence[Any]:
        """All values in order. Raises SpaceError for a continuous domain."""

    @abstractmethod
    def contains(self, value: object) -> bool:
        """Whether `value` may be taken."""

    @abstractmethod
    def to_unit(self, value: Any) -> float:
        """The place of `value` in [0, 1]; a value of a finite domain sits in the middle of its cell."""

    @abstractmethod
    def from_unit(self, u: float) -> Any:
        """The value at `u`, which is clipped to [0, 1]."""

    @abstractmethod
    def spec(self) -> Any:
        """The arguments of the domain as YAML writes them."""

    def sample(self, rng: np.random.Generator) -> Any:
        """A random value, uniform on the domain's own scale."""
        return self.from_unit(rng.random())

    def member(self, value: Any) -> Any:
        """The domain's own value that is the same as the given one, which it contains: 1 for 1.0 among whole ones."""
        return value

    def __eq__(self, other: object) -> bool:
        """Whether the kind and the values are the same; 1 is not True."""
        if not isinstance(other, Domain):
            return NotImplemented
        return type(self) is type(other) and same(self.spec(), other.spec())

    def __hash__(self) -> int:
        return hash((type(self), hashable(self.spec())))


class _Listed(Domain):
    """A domain that can name its values: equal cells of the unit interval, in order."""

    @property
    def size(self) -> int:
        return len(self.values())

    def contains(self, value: object) -> bool:
        return hashable(value) in self._places

    def to_unit(self, value: Any) -> float:
        return (self._index(value) + 0.5) / self.size

    def from_unit(self, u: float) -> Any:
        return fresh(self.values()[min(int(_clip(u) * self.size), self.size - 1)])

    def member(self, value: Any) -> Any:
        return fresh(self.values()[self._index(value)])

    def spec(self) -> Any:
        return list(self.values())

    def _index(self, value: Any) -> int:
        return self._places[hashable(value)]

    @cached_property
    def _places(self) -> dict[Hashable, int]:
        return {hashable(value): index for index, value in enumerate(self.values())}


@dataclass(frozen=True, eq=False)
class Constant(_Listed):
    """A value that does not vary but belongs to every configuration."""

    form = "constant"
    value: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain(self.value, nan=False))

    def values(self) -> Sequence[Any]:
        return (self.value,)

    def spec(self) -> Any:
        return self.value


@dataclass(frozen=True, eq=False)
class Choice(_Listed):
    """One of a few options without an order among them."""

    form = "choice"
    options: Sequence[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _as_tuple("options", self.options))
        if pair := equal_pair(self.options):
            first, second = map(in_words, pair)
            why = f"{first} comes twice" if first == second else f"{first} and {second} are equal"
            raise SpaceError(f"`options` must differ from each other, but {why} in {shorten(list(self.options))}")

    def values(self) -> Sequence[Any]:
        return self.options


@dataclass(frozen=True, eq=False)
class Grid(_Listed):
    """One of a few values in increasing order; neighbours count as equally far apart.

    The values are numbers, dates, or lists or tuples of these. Whole numbers beside others become floats.
    """

    form = "grid"
    points: Sequence[Any]

    def __post_init__(self) -> None:
        points = _as_tuple("points", self.points)
        for point in points:
            _require_order(point)
        if {type(point) for point in points} == {int, float}:
            points = tuple(map(float, points))
        if not all(_less(a, b) for a, b in pairwise(points)):
            raise SpaceError(f"`points` must increase, but got {shorten(list(points))}")
        object.__setattr__(self, "points", points)

    def values(self) -> Sequence[Any]:
        return self.points


class _Integers(_Listed):
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def values(self) -> range:
        return range(self.low, self.high + 1)

    def contains(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def spec(self) -> list[Any]:
        return [self.low, self.high]

    def _index(self, value: Any) -> int:
        return int(_number(value)) - self.low


@dataclass(frozen=True, eq=False)
class Int(_Integers):
    """A whole number from `low` to `high`, both included."""

    form = "int"
    low: int
    high: int

    def __post_init__(self) -> None:
        _check_integers(self, least=-LARGEST_INT)


@dataclass(frozen=True, eq=False)
class LogInt(_Integers):
    """A whole number from `low` to `high`, both included, spread evenly on a logarithmic scale."""

    form = "log_int"
    low: int
    high: int

    def __post_init__(self) -> None:
        _check_integers(self, least=1)

    def to_unit(self, value: Any) -> float:
        start, width = self._scale()
        return _clip((math.log(_number(value)) - start) / width)

    def from_unit(self, u: float) -> int:
        start, width = self._scale()
        return min(max(round(math.exp(start + _clip(u) * width)), self.low), self.high)

    def _scale(self) -> tuple[float, float]:
        """Start and width of the logarithmic scale, half a step wider at both ends for their fair share."""
        start = math.log(self.low - 0.5)
        return start, math.log(self.high + 0.5) - start


class _Continuum(Domain):
    """Real numbers from `low` to `high`, both included."""

    low: float
    high: float

    @property
    def size(self) -> None:
        return None

    def values(self) -> Sequence[Any]:
        raise SpaceError(f"must have finitely many values (use Grid), but got {self}")

    def contains(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def member(self, value: Any) -> float:
        return float(value)

    def spec(self) -> list[Any]:
        return [self.low, self.high]


@dataclass(frozen=True, eq=False)
class Uniform(_Continuum):
    """A real number from `low` to `high`."""

    form = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        _as_floats(self)

    def to_unit(self, value: Any) -> float:
        return _clip((_number(value) - self.low) / (self.high - self.low))

    def from_unit(self, u: float) -> float:
        return min(max(self.low + _clip(u) * (self.high - self.low), self.low), self.high)


@dataclass(frozen=True, eq=False)
class LogUniform(_Continuum):
    """A positive real number from `low` to `high`, spread evenly on a logarithmic scale."""

    form = "log_uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        _as_floats(self)
        if self.low <= 0:
            raise SpaceError(f"`low > 0` must hold, but got low={self.low}")
        if math.log(self.low) == math.log(self.high):
            raise SpaceError(f"`log(low) < log(high)` must hold, but got low={self.low}, high={self.high}")

    def to_unit(self, value: Any) -> float:
        start, width = self._scale()
        return _clip((math.log(_number(value)) - start) / width)

    def from_unit(self, u: float) -> float:
        start, width = self._scale()
        return min(max(math.exp(start + _clip(u) * width), self.low), self.high)

    def _scale(self) -> tuple[float, float]:
        """Start and width of the logarithmic scale."""
        start = math.log(self.low)
        return start, math.log(self.high) - start


@dataclass(frozen=True, eq=False)
class When:
    """A domain that belongs to a configuration only where all `conditions` hold.

    Each condition names an earlier parameter and the value, or values, it must have. Where that parameter is
    itself switched off, the condition does not hold.
    """

    domain: Domain
    conditions: Mapping[str, Any]  # a value or several; kept as tuples

    def __post_init__(self) -> None:
        if not isinstance(self.domain, Domain):
            raise SpaceError(f"`domain` must be a plain domain such as Uniform, but got {shorten(self.domain)}")
        if not isinstance(self.conditions, Mapping) or not self.conditions:
            raise SpaceError(f"`conditions` must name a parameter and its value, but got {shorten(self.conditions)}")
        conditions = {name: _as_tuple("conditions", _several(value)) for name, value in self.conditions.items()}
        object.__setattr__(self, "conditions", conditions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, When):
            return NotImplemented
        return self.domain == other.domain and same(self.conditions, other.conditions)

    def __hash__(self) -> int:
        return hash((self.domain, hashable(self.conditions)))

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether the active values in `config` fulfil every condition."""
        return all(name in config and hashable(config[name]) in wanted for name, wanted in self._wanted.items())

    @cached_property
    def _wanted(self) -> Mapping[str, frozenset[Hashable]]:
        return {name: frozenset(map(hashable, values)) for name, values in self.conditions.items()}


def _clip(u: float) -> float:
    return min(max(float(u), 0.0), 1.0)


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise SpaceError(f"must be a finite number, but got {shorten(value)}")
    return value


def _require_order(value: object) -> None:
    """Raise SpaceError for a value that has no order among others of its kind."""
    if isinstance(value, list | tuple):
        for part in value:
            _require_order(part)
    elif isinstance(value, bool) or not isinstance(value, int | float | date):
        raise SpaceError(f"must be a number, a date, or a list of these, but got {shorten(value)}")


def _less(a: Any, b: Any) -> bool:
    try:
        return bool(a < b)
    except TypeError:
        raise SpaceError(f"`points` must be of one kind, but got {shorten(a)} and {shorten(b)}") from None


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _as_tuple(name: str, values: object) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple) or not values:
        raise SpaceError(f"`{name}` must be a list of at least one value, but got {shorten(values)}")
    return tuple(plain(value, str(number), nan=False) for number, value in enumerate(values))


def _check_integers(domain: Int | LogInt, least: int) -> None:
    """Check the bounds and keep NumPy's as Python's."""
    for name, value in {"low": as_python(domain.low), "high": as_python(domain.high)}.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpaceError(f"`{name}` must be a whole number, but got {name}={shorten(value)}")
        if not least <= value <= LARGEST_INT:
            rule = f"`{least} <= low` and `high <= {LARGEST_INT}` must hold"
            raise SpaceError(f"{rule}, but got {name}={shorten(value)}")
        object.__setattr__(domain, name, value)
    if not domain.low < domain.high:
        raise SpaceError(f"`low < high` must hold, but got low={domain.low}, high={domain.high}")


def _as_floats(domain: Uniform | LogUniform) -> None:
    """Check the bounds and keep them as floats, so that Uniform(0, 1) equals Uniform(0.0, 1.0)."""
    for name, value in {"low": domain.low, "high": domain.high}.items():
        object.__setattr__(domain, name, float(_number(as_python(value))))
    if not domain.low < domain.high:
        raise SpaceError(f"`low < high` must hold, but got low={domain.low}, high={domain.high}")
    if not math.isfinite(domain.high - domain.low):
        raise SpaceError(f"`high - low` must be finite, but got low={domain.low}, high={domain.high}")
