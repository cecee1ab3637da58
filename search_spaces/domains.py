"""What one hyperparameter may be: small frozen values, checked when made.

Every plain domain maps onto the unit interval and back; sampling is that map applied to a uniform draw.
"""

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from search_spaces.errors import SpaceError, shorten
from search_spaces.expression import same

Scalar = str | int | float | bool | None
LARGEST_INT = 2**40  # beyond it a float64 in [0, 1] no longer tells neighbouring integers apart


class Domain(ABC):
    """The values one hyperparameter may take. `form` is the domain's name in YAML."""

    form: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of values; None where there is a continuum of them."""

    @abstractmethod
    def values(self) -> Sequence[Scalar]:
        """All values in order. Raises SpaceError for a continuous domain."""

    @abstractmethod
    def contains(self, value: object) -> bool:
        """Whether `value` may be taken."""

    @abstractmethod
    def to_unit(self, value: Scalar) -> float:
        """The place of `value` in [0, 1]; a value of a finite domain sits in the middle of its cell."""

    @abstractmethod
    def from_unit(self, u: float) -> Scalar:
        """The value at `u`, which is clipped to [0, 1]."""

    @abstractmethod
    def spec(self) -> Scalar | list[Scalar]:
        """The arguments of the domain as YAML writes them."""

    def sample(self, rng: np.random.Generator) -> Scalar:
        """A random value, uniform on the domain's own scale."""
        return self.from_unit(rng.random())


class _Listed(Domain):
    """A domain that can name its values: equal cells of the unit interval, in order."""

    @property
    def size(self) -> int:
        return len(self.values())

    def contains(self, value: object) -> bool:
        return any(same(value, known) for known in self.values())

    def to_unit(self, value: Scalar) -> float:
        return (self._index(value) + 0.5) / self.size

    def from_unit(self, u: float) -> Scalar:
        return self.values()[min(int(_clip(u) * self.size), self.size - 1)]

    def spec(self) -> Scalar | list[Scalar]:
        return list(self.values())

    def _index(self, value: Scalar) -> int:
        return next(i for i, known in enumerate(self.values()) if same(value, known))


@dataclass(frozen=True)
class Constant(_Listed):
    """A value that does not vary but belongs to every configuration."""

    form = "constant"
    value: Scalar

    def __post_init__(self) -> None:
        _require_scalar(self.value)

    def values(self) -> Sequence[Scalar]:
        return (self.value,)

    def spec(self) -> Scalar:
        return self.value


@dataclass(frozen=True)
class Choice(_Listed):
    """One of a few options without an order among them."""

    form = "choice"
    options: Sequence[Scalar]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _as_tuple("options", self.options))
        for option in self.options:
            _require_scalar(option)
        if len(set(self.options)) < len(self.options):
            raise SpaceError(f"`options` must differ from each other, but got {shorten(list(self.options))}")

    def values(self) -> Sequence[Scalar]:
        return self.options


@dataclass(frozen=True)
class Grid(_Listed):
    """One of a few numbers, in increasing order; neighbours count as equally far apart."""

    form = "grid"
    points: Sequence[int | float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _as_tuple("points", self.points))
        for point in self.points:
            _number(point)
        if any(a >= b for a, b in zip(self.points, self.points[1:], strict=False)):
            raise SpaceError(f"`points` must increase, but got {shorten(list(self.points))}")

    def values(self) -> Sequence[int | float]:
        return self.points


class _Integers(_Listed):
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def values(self) -> range:
        return range(self.low, self.high + 1)

    def contains(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def spec(self) -> list[Scalar]:
        return [self.low, self.high]

    def _index(self, value: Scalar) -> int:
        return int(_number(value)) - self.low


@dataclass(frozen=True)
class Int(_Integers):
    """A whole number from `low` to `high`, both included."""

    form = "int"
    low: int
    high: int

    def __post_init__(self) -> None:
        _require_integers(self.low, self.high, least=-LARGEST_INT)


@dataclass(frozen=True)
class LogInt(_Integers):
    """A whole number from `low` to `high`, both included, spread evenly on a logarithmic scale."""

    form = "log_int"
    low: int
    high: int

    def __post_init__(self) -> None:
        _require_integers(self.low, self.high, least=1)

    def to_unit(self, value: Scalar) -> float:
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

    def values(self) -> Sequence[Scalar]:
        raise SpaceError(f"must have finitely many values (use Grid), but got {self}")

    def contains(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def spec(self) -> list[Scalar]:
        return [self.low, self.high]


@dataclass(frozen=True)
class Uniform(_Continuum):
    """A real number from `low` to `high`."""

    form = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        _as_floats(self)

    def to_unit(self, value: Scalar) -> float:
        return _clip((_number(value) - self.low) / (self.high - self.low))

    def from_unit(self, u: float) -> float:
        return min(max(self.low + _clip(u) * (self.high - self.low), self.low), self.high)


@dataclass(frozen=True)
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

    def to_unit(self, value: Scalar) -> float:
        start, width = self._scale()
        return _clip((math.log(_number(value)) - start) / width)

    def from_unit(self, u: float) -> float:
        start, width = self._scale()
        return min(max(math.exp(start + _clip(u) * width), self.low), self.high)

    def _scale(self) -> tuple[float, float]:
        """Start and width of the logarithmic scale."""
        start = math.log(self.low)
        return start, math.log(self.high) - start


@dataclass(frozen=True)
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

    def holds(self, config: Mapping[str, Scalar]) -> bool:
        """Whether the active values in `config` fulfil every condition."""
        return all(
            name in config and any(same(config[name], value) for value in values)
            for name, values in self.conditions.items()
        )


def _clip(u: float) -> float:
    return min(max(float(u), 0.0), 1.0)


def _number(value: Scalar) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise SpaceError(f"must be a finite number, but got {shorten(value)}")
    return value


def _require_scalar(value: object) -> None:
    finite = not isinstance(value, float) or math.isfinite(value)
    if not finite or not isinstance(value, Scalar):
        raise SpaceError(f"must be text, a finite number, true, false or null, but got {shorten(value)}")


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _as_tuple(name: str, values: object) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple) or not values:
        raise SpaceError(f"`{name}` must be a list of at least one value, but got {shorten(values)}")
    return tuple(values)


def _require_integers(low: int, high: int, least: int) -> None:
    for name, value in {"low": low, "high": high}.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpaceError(f"`{name}` must be a whole number, but got {name}={shorten(value)}")
        if not least <= value <= LARGEST_INT:
            rule = f"`{least} <= low` and `high <= {LARGEST_INT}` must hold"
            raise SpaceError(f"{rule}, but got {name}={shorten(value)}")
    if not low < high:
        raise SpaceError(f"`low < high` must hold, but got low={low}, high={high}")


def _as_floats(domain: Uniform | LogUniform) -> None:
    """Check the bounds and keep them as floats, so that Uniform(0, 1) equals Uniform(0.0, 1.0)."""
    for name, value in {"low": domain.low, "high": domain.high}.items():
        object.__setattr__(domain, name, float(_number(value)))
    if not domain.low < domain.high:
        raise SpaceError(f"`low < high` must hold, but got low={domain.low}, high={domain.high}")
    if not math.isfinite(domain.high - domain.low):
        raise SpaceError(f"`high - low` must be finite, but got low={domain.low}, high={domain.high}")
