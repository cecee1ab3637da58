"""A search space: named parameters in order, some of which depend on the values of earlier ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.domains import Choice, Constant, Domain, Scalar, When
from search_spaces.errors import SpaceError

Config = dict[str, Any]  # flat, with dotted keys: {"optimizer.lr": 0.01}
Parameter = Domain | When
INACTIVE = 0.5  # the coordinate of a parameter that is switched off


@dataclass(frozen=True, init=False, eq=False)
class Space:
    """Named parameters; a plain scalar stands for a Constant.

    Raises SpaceError where a name is malformed or a condition asks for what can never be.
    """

    parameters: Mapping[str, Parameter]

    def __init__(self, parameters: Mapping[str, Parameter | Scalar]) -> None:
        if not isinstance(parameters, Mapping) or not parameters:
            raise SpaceError.at("parameters", "must map names to domains", parameters)
        made = {name: _parameter(name, given) for name, given in parameters.items()}
        object.__setattr__(self, "parameters", made)
        _check_groups(self.names)
        for index, (name, parameter) in enumerate(made.items()):
            if isinstance(parameter, When):
                self._check_conditions(name, parameter, earlier=self.names[:index])

    def __eq__(self, other: object) -> bool:
        """Whether the parameters are the same and in the same order, on which grids and coordinates depend."""
        return isinstance(other, Space) and list(self.parameters.items()) == list(other.parameters.items())

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters in the order of their declaration."""
        return tuple(self.parameters)

    @cached_property
    def domains(self) -> Mapping[str, Domain]:
        """The plain domain of each parameter, without its conditions."""
        return {name: p.domain if isinstance(p, When) else p for name, p in self.parameters.items()}

    @cached_property
    def size(self) -> int | None:
        """Number of different configurations; None where there is a continuum of them."""
        if any(domain.size is None for domain in self.domains.values()):
            return None
        return self._count(self.names, {})

    def sample(self, rng: np.random.Generator) -> Config:
        """A random configuration: the active parameters, each drawn from its domain."""
        return self._build({name: domain.sample(rng) for name, domain in self.domains.items()})

    def grid(self) -> Iterator[Config]:
        """Every configuration once, the last parameter varying fastest. Raises SpaceError for a continuum."""
        for name, domain in self.domains.items():
            if domain.size is None:
                raise SpaceError.at(
                    f"parameters.{name}", "must have finitely many values to be part of a grid (use Grid)", domain
                )
        return self._expand(self.names, {})

    def active(self, config: Mapping[str, Any]) -> Config:
        """`config` without the parameters that are switched off. Raises SpaceError for unknown names."""
        for name in config:
            if name not in self.parameters:
                raise SpaceError.at(name, "must be a parameter of the space", name, among=self.names)
        return self._build(config)

    def validate(self, config: Mapping[str, Any]) -> None:
        """Raise SpaceError unless `config` has just the active parameters, each with one of its values."""
        active = self.active(config)
        for name, domain in self.domains.items():
            if name in config and name not in active:
                raise SpaceError.at(name, "must be left out, its condition does not hold", config[name])
            if name not in config and self.is_active(name, active):
                raise SpaceError(f"{name}: must be set, but got no value")
            if name in config:
                _check_value(name, domain, config[name])

    def contains(self, config: Mapping[str, Any]) -> bool:
        """Whether `config` is a valid configuration of this space."""
        try:
            self.validate(config)
        except SpaceError:
            return False
        return True

    def corners(self) -> Iterator[Config]:
        """Configurations with each parameter, where it is switched on, at each end and each of a few values.

        The other parameters are drawn, the same ones each time.
        """
        rng = np.random.default_rng(0)
        for index, (name, domain) in enumerate(self.domains.items()):
            for conditions in self._branches(name):
                for end in _ends(domain):
                    point = rng.random(len(self))
                    for parent, u in conditions.items():
                        point[self.names.index(parent)] = u
                    point[index] = end
                    yield self.from_unit(point)

    def to_unit(self, config: Mapping[str, Any]) -> NDArray[np.float64]:
        """`config` in the unit cube: (d,), a coordinate for each parameter, 0.5 where it is switched off."""
        self.validate(config)
        return np.array(
            [domain.to_unit(config[name]) if name in config else INACTIVE for name, domain in self.domains.items()]
        )

    def from_unit(self, point: ArrayLike) -> Config:
        """The configuration at `point` (d,) of the unit cube; coordinates outside are clipped."""
        coordinates = np.asarray(point, dtype=np.float64)
        if coordinates.shape != (len(self),) or np.isnan(coordinates).any():
            raise SpaceError.at("point", f"must be {len(self)} numbers", point)
        return self._build(
            {
                name: domain.from_unit(u)
                for (name, domain), u in zip(self.domains.items(), coordinates.tolist(), strict=True)
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The space in the form that `load_space` reads."""
        return {"parameters": {name: _spec(p) for name, p in self.parameters.items()}}

    def is_active(self, name: str, config: Mapping[str, Any]) -> bool:
        """Whether the active values in `config` switch the parameter `name` on."""
        parameter = self.parameters[name]
        return not isinstance(parameter, When) or parameter.holds(config)

    def _branches(self, name: str) -> Iterator[dict[str, float]]:
        """The coordinates of other parameters that switch `name` on, for all values of its own conditions."""
        parameter = self.parameters[name]
        if not isinstance(parameter, When):
            yield {}
            return
        for values in product(*parameter.conditions.values()):
            branch: dict[str, float] = {}
            for parent, value in zip(parameter.conditions, values, strict=True):
                branch |= next(self._branches(parent)) | {parent: self.domains[parent].to_unit(value)}
            yield branch

    def _build(self, values: Mapping[str, Any]) -> Config:
        """Those of `values` that are active, in the order of the parameters."""
        config: Config = {}
        for name in self.parameters:
            if name in values and self.is_active(name, config):
                config[name] = values[name]
        return config

    def _expand(self, names: tuple[str, ...], config: Config) -> Iterator[Config]:
        if not names:
            yield config
        elif self.is_active(names[0], config):
            for value in self.domains[names[0]].values():
                yield from self._expand(names[1:], {**config, names[0]: value})
        else:
            yield from self._expand(names[1:], config)

    def _count(self, names: tuple[str, ...], config: Config) -> int:
        if not names:
            return 1
        name, rest = names[0], names[1:]
        if not self.is_active(name, config):
            return self._count(rest, config)
        values = self.domains[name].values()
        if name not in self._parents:
            return len(values) * self._count(rest, config)
        return sum(self._count(rest, {**config, name: value}) for value in values)

    @cached_property
    def _parents(self) -> frozenset[str]:
        """The parameters that some condition names."""
        return frozenset(name for p in self.parameters.values() if isinstance(p, When) for name in p.conditions)

    def _check_conditions(self, name: str, parameter: When, earlier: tuple[str, ...]) -> None:
        for parent, values in parameter.conditions.items():
            if parent not in earlier:
                raise SpaceError.at(f"parameters.{name}.when", "must name an earlier parameter", parent, among=earlier)
            domain = self.domains[parent]
            if domain.size is None:
                raise SpaceError.at(
                    f"parameters.{name}.when", "must name a parameter with finitely many values", parent
                )
            for value in values:
                _check_value(f"parameters.{name}.when.{parent}", domain, value)


def _ends(domain: Domain, few: int = 50) -> list[float]:
    """Coordinates that show what a domain may hold: all values of a small one, else both ends and three between."""
    if domain.size is not None and domain.size <= few:
        return [domain.to_unit(value) for value in domain.values()]
    return [0.0, 0.25, 0.5, 0.75, 1.0]


def _parameter(name: str, given: Parameter | Scalar) -> Parameter:
    if not isinstance(name, str) or not all(name.split(".")):
        raise SpaceError.at("parameters", "a name must be text in dotted parts", name)
    if isinstance(given, Domain | When):
        return given
    try:
        return Constant(given)
    except SpaceError:
        raise SpaceError.at(f"parameters.{name}", "must be a domain or a scalar", given) from None


def _check_value(where: str, domain: Domain, value: object) -> None:
    if not domain.contains(value):
        options = domain.options if isinstance(domain, Choice) else ()
        raise SpaceError.at(where, f"must be in {domain}", value, among=options)


def _check_groups(names: tuple[str, ...]) -> None:
    """Refuse "model" beside "model.width": in a nested configuration one would overwrite the other."""
    for name, following in pairwise(sorted(names, key=lambda name: name.split("."))):
        if following.startswith(f"{name}."):
            rule = f"must not be a parameter and a group of parameters ({following})"
            raise SpaceError.at(f"parameters.{name}", rule, name)


def _spec(parameter: Parameter) -> Any:
    if isinstance(parameter, When):
        conditions = {
            name: values[0] if len(values) == 1 else list(values) for name, values in parameter.conditions.items()
        }
        return {parameter.domain.form: parameter.domain.spec(), "when": conditions}
    return parameter.value if isinstance(parameter, Constant) else {parameter.form: parameter.spec()}
