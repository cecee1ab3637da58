"""A search space: named parameters in order, some of which depend on earlier ones, and rules between them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.constraints import Constraint, Predicate
from search_spaces.domains import Choice, Constant, Domain, When
from search_spaces.errors import SpaceError, shorten
from search_spaces.values import fresh, same

Config = dict[str, Any]  # flat, with dotted keys: {"optimizer.lr": 0.01}
Parameter = Domain | When
INACTIVE = 0.5  # the coordinate of a parameter that is switched off
COUNTED = 20_000  # of at most so many configurations those are counted that the constraints allow
FEW = 100  # draws without an allowed configuration after which a space that is counted is drawn from as counted
TRIED = 10_000  # draws without an allowed configuration after which a space counts as empty
PATIENCE = 1_000_000  # draws for one allowed configuration of a space that is not empty
EVALUATED = 100  # allowed configurations that show whether constraints can be evaluated at all
REDRAWN = 50  # draws around a corner that is not allowed


@dataclass(frozen=True, init=False, eq=False)
class Space:
    """Named parameters; a single value (no list, no mapping) stands for a Constant.

    Args:
        constraints: rules that a configuration must keep; see `Constraint` for their forms.

    Raises SpaceError where a name is malformed, a condition asks for what can never be, or constraints leave nothing.
    """

    parameters: Mapping[str, Parameter]
    constraints: tuple[Constraint, ...]

    def __init__(
        self,
        parameters: Mapping[str, Any],
        constraints: Sequence[Constraint | Predicate | str] = (),
    ) -> None:
        if not isinstance(parameters, Mapping) or not parameters:
            raise SpaceError.at("parameters", "must map names to domains", parameters)
        made = {name: _parameter(name, given) for name, given in parameters.items()}
        object.__setattr__(self, "parameters", made)
        _check_groups(self.names)
        for index, (name, parameter) in enumerate(made.items()):
            if isinstance(parameter, When):
                self._check_conditions(name, parameter, earlier=self.names[:index])
        object.__setattr__(self, "constraints", _constraints(constraints, self.names))
        if self.is_loaded:
            self.check()

    def __eq__(self, other: object) -> bool:
        """Whether the parameters are the same and in the same order, on which grids and coordinates depend."""
        if not isinstance(other, Space):
            return NotImplemented
        mine, theirs = ((list(space.parameters.items()), space.constraints) for space in (self, other))
        return mine == theirs

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

    @property
    def is_loaded(self) -> bool:
        """Whether all constraints can be asked without importing a user's function."""
        return all(constraint.is_loaded for constraint in self.constraints)

    def check(self) -> None:
        """Raises SpaceError unless some configuration is allowed. Imports the functions that constraints name."""
        if not self.constraints:
            return
        if (
            list(islice(self._drawn(np.random.default_rng(0), FEW if self._is_counted else TRIED), EVALUATED))
            or self._listed
        ):
            return
        which = "configuration" if self._is_counted else f"of {TRIED} configurations drawn"
        raise SpaceError.at("constraints", f"must allow one {which}", self._texts())

    @cached_property
    def size(self) -> int | None:
        """Number of different configurations; None where there is a continuum of them.

        Under constraints the exact number if there were at most COUNTED without them, else that larger one.
        """
        if not self.constraints or self._listed is None:
            return self._unconstrained_size
        return len(self._listed)

    def allows(self, config: Mapping[str, Any]) -> bool:
        """Whether the valid values in `config` keep all constraints.

        Raises SpaceError where a constraint cannot be evaluated.
        """
        return self._broken(config) is None

    def sample(self, rng: np.random.Generator) -> Config:
        """A random configuration: the active parameters, each drawn from its domain, until the constraints are kept."""
        if (config := next(self._drawn(rng, FEW), None)) is not None:
            return config
        if self._listed:
            return _apart(self._listed[rng.integers(len(self._listed))])
        if (config := next(self._drawn(rng, PATIENCE), None)) is not None:
            return config
        raise SpaceError.at("constraints", f"must allow one of {PATIENCE} configurations drawn", self._texts())

    def grid(self) -> Iterator[Config]:
        """Every allowed configuration once, the last parameter varying fastest. Raises SpaceError for a continuum."""
        for name, domain in self.domains.items():
            if domain.size is None:
                raise SpaceError.at(
                    f"parameters.{name}", "must have finitely many values to be part of a grid (use Grid)", domain
                )
        if self.constraints and self._listed is not None:
            return map(_apart, self._listed)
        return map(_apart, self._expand(self.names, {}))

    def active(self, config: Mapping[str, Any]) -> Config:
        """`config` without the parameters that are switched off. Raises SpaceError for unknown names."""
        for name in config:
            if name not in self.parameters:
                raise SpaceError.at(name, "must be a parameter of the space", name, among=self.names)
        return self._build(config)

    def complete(self, config: Mapping[str, Any]) -> Config:
        """`config` in the order of the parameters, with the constants, in the values that the domains have for its own.

        Raises SpaceError, with the parameter's name, unless every other active parameter has one of its values and the
        constraints are kept.
        """
        self.active(config)  # refuses unknown names
        made: Config = {}
        missing = []
        for name, domain in self.domains.items():
            if not self.is_active(name, made):
                continue
            if name in config:
                made[name] = config[name]
            elif isinstance(domain, Constant):
                made[name] = domain.value
            else:
                missing.append(name)
        if missing:
            raise SpaceError(f"must set every parameter that is switched on, but {', '.join(missing)} got no value")
        self.validate({**config, **made})
        return {name: self.domains[name].member(value) for name, value in made.items()}

    def validate(self, config: Mapping[str, Any]) -> None:
        """Raise SpaceError unless `config` has just the active parameters, each with one of its values, as allowed."""
        active = self.active(config)
        for name, domain in self.domains.items():
            if name in config and name not in active:
                raise SpaceError.at(name, "must be left out, its condition does not hold", config[name])
            if name not in config and self.is_active(name, active):
                raise SpaceError(f"{name}: must be set, but got no value")
            if name in config:
                _check_value(name, domain, config[name])
        if broken := self._broken(active):
            shown = {name: value for name, value in active.items() if name in broken.names or not broken.names}
            raise SpaceError.at("constraints", f"{broken.text!r} must hold", shown)

    def contains(self, config: Mapping[str, Any]) -> bool:
        """Whether `config` is a valid configuration of this space."""
        try:
            self.validate(config)
        except SpaceError:
            return False
        return True

    def corners(self) -> Iterator[Config]:
        """Allowed configurations with each parameter, where it can be, at each end and each of a few values.

        The other parameters are drawn, the same ones each time. Constraints that would have to be imported count as
        kept.
        """
        rng = np.random.default_rng(0)
        loaded = [constraint for constraint in self.constraints if constraint.is_loaded]
        if loaded and self.is_loaded:
            yield self.sample(rng)  # for a space none of whose corners is allowed
        for index, (name, domain) in enumerate(self.domains.items()):
            for conditions in self._branches(name):
                for end in _ends(domain):
                    fixed = {self.names.index(parent): u for parent, u in conditions.items()} | {index: end}
                    around = (self._near(fixed, rng) for _ in range(REDRAWN if loaded else 1))
                    yield from islice((c for c in around if all(rule.holds(c) for rule in loaded)), 1)

    def to_unit(self, config: Mapping[str, Any]) -> NDArray[np.float64]:
        """`config` in the unit cube: (d,), a coordinate for each parameter, 0.5 where it is switched off."""
        self.validate(config)
        return np.array(
            [domain.to_unit(config[name]) if name in config else INACTIVE for name, domain in self.domains.items()]
        )

    def from_unit(self, point: ArrayLike) -> Config:
        """The configuration at `point` (d,) of the unit cube, allowed or not; coordinates outside are clipped."""
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
        """The space in the form that `load_space` reads. Raises SpaceError for a constraint that has no such form."""
        form: dict[str, Any] = {"parameters": {name: _spec(p) for name, p in self.parameters.items()}}
        if self.constraints:
            form["constraints"] = []
            for number, constraint in enumerate(self.constraints):
                try:
                    form["constraints"].append(constraint.spec())
                except SpaceError as error:
                    raise error.within(f"constraints.{number}") from None
        return form

    def is_active(self, name: str, config: Mapping[str, Any]) -> bool:
        """Whether the active values in `config` switch the parameter `name` on."""
        parameter = self.parameters[name]
        return not isinstance(parameter, When) or parameter.holds(config)

    @cached_property
    def _unconstrained_size(self) -> int | None:
        if any(domain.size is None for domain in self.domains.values()):
            return None
        return self._count(self.names, {})

    @cached_property
    def _listed(self) -> list[Config] | None:
        """All allowed configurations, of a space that is small enough without constraints."""
        return list(self._expand(self.names, {})) if self._is_counted else None

    @property
    def _is_counted(self) -> bool:
        return self._unconstrained_size is not None and self._unconstrained_size <= COUNTED

    def _drawn(self, rng: np.random.Generator, tries: int) -> Iterator[Config]:
        """The allowed ones of so many configurations drawn."""
        for _ in range(tries):
            config = self._build({name: domain.sample(rng) for name, domain in self.domains.items()})
            if self.allows(config):
                yield config

    def _near(self, fixed: Mapping[int, float], rng: np.random.Generator) -> Config:
        """A random configuration with some coordinates given."""
        point = rng.random(len(self))
        for index, u in fixed.items():
            point[index] = u
        return self.from_unit(point)

    def _broken(self, config: Mapping[str, Any]) -> Constraint | None:
        """The first constraint that `config` does not keep."""
        for number, constraint in enumerate(self.constraints):
            try:
                if not constraint.holds(config):
                    return constraint
            except SpaceError as error:
                raise error.within(f"constraints.{number}") from error.__cause__
        return None

    def _texts(self) -> list[str]:
        return [constraint.text for constraint in self.constraints]

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
        """The allowed configurations that begin with `config`; a constraint is asked as soon as it can be."""
        decided = len(self) - len(names)
        if not all(constraint.holds(config) for constraint in self._decided_by[decided]):
            return
        if not names:
            yield config
        elif self.is_active(names[0], config):
            for value in self.domains[names[0]].values():
                yield from self._expand(names[1:], {**config, names[0]: value})
        else:
            yield from self._expand(names[1:], config)

    @cached_property
    def _decided_by(self) -> list[list[Constraint]]:
        """The constraints for which the values of the first n parameters are enough, but not those of fewer."""
        decided: list[list[Constraint]] = [[] for _ in range(len(self) + 1)]
        for constraint in self.constraints:
            last = max((self.names.index(name) + 1 for name in constraint.names), default=len(self))
            decided[last].append(constraint)
        return decided

    def _count(self, names: tuple[str, ...], config: Config) -> int:
        if not names:
            return 1
        name, rest = names[0], names[1:]
        if not self.is_active(name, config):
            return self._count(rest, config)
        wanted = self._wanted.get(name, ())
        others = len(self.domains[name].values()) - len(wanted)
        counts = (self._count(rest, {**config, name: value}) for value in wanted)
        return sum(counts) + (others and others * self._count(rest, config))

    @cached_property
    def _wanted(self) -> Mapping[str, list[Any]]:
        """The values that conditions ask for, by parameter; all others of it switch the same on, as no value does."""
        wanted: dict[str, list[Any]] = {}
        for parameter in self.parameters.values():
            for name, values in parameter.conditions.items() if isinstance(parameter, When) else ():
                known = wanted.setdefault(name, [])
                for value in values:
                    if not any(same(value, one) for one in known):
                        known.append(value)
        return wanted

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


def _apart(config: Config) -> Config:
    """The configuration, whose lists and mappings are no one else's."""
    return {name: fresh(value) for name, value in config.items()}


def _parameter(name: str, given: Any) -> Parameter:
    if not isinstance(name, str) or not all(name.split(".")):
        raise SpaceError.at("parameters", "a name must be text in dotted parts", name)
    if isinstance(given, Domain | When):
        return given
    if isinstance(given, list | tuple | Mapping):
        hint = "write {choice: …} for one of several values, {constant: …} for one that is a list or a mapping"
        rule = f"must be a domain or a scalar, but got {shorten(given)}; {hint}"
        raise SpaceError(rule).within(f"parameters.{name}")
    try:
        return Constant(given)
    except SpaceError as error:
        raise error.within(f"parameters.{name}") from None


def _constraints(given: object, names: tuple[str, ...]) -> tuple[Constraint, ...]:
    """The rules, each of which names parameters of the space only."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise SpaceError.at("constraints", "must be a list of expressions or functions", given)
    made = []
    for number, rule in enumerate(given):
        try:
            made.append(rule if isinstance(rule, Constraint) else Constraint(rule))
        except SpaceError as error:
            raise error.within(f"constraints.{number}") from None
        for name in sorted(made[-1].names - set(names)):
            where = f"constraints.{number}"
            raise SpaceError.at(where, f"{made[-1].text!r} must name parameters of the space", name, among=names)
    return tuple(made)


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
            name: values[0] if len(values) == 1 and not _is_compound(values[0]) else list(values)
            for name, values in parameter.conditions.items()
        }
        return {parameter.domain.form: parameter.domain.spec(), "when": conditions}
    if isinstance(parameter, Constant) and not _is_compound(parameter.value):
        return parameter.value
    return {parameter.form: parameter.spec()}


def _is_compound(value: object) -> bool:
    """Whether the value would be taken for several of them, or for a domain."""
    return isinstance(value, list | tuple | dict)
