"""Rules between the parameters of a space: short expressions, or functions of the user's."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from search_spaces.errors import SpaceError, describe, nearest, shorten
from search_spaces.expression import parse
from search_spaces.values import fresh

Predicate = Callable[[dict[str, Any]], bool]
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Constraint:
    """Holds or does not hold for a configuration.

    Args:
        rule: an expression, a function `Config -> bool`, or the import path "package.module:function" of one, which
            is imported when it is first asked. An expression that names a parameter which is switched off in a
            configuration holds for it.

    Attributes:
        text: the expression, or the function's name.
        names: the parameters that an expression names; none for a function.
        path: the import path of a function that is given by that; None for other rules.

    Raises SpaceError for what is no such rule.
    """

    def __init__(self, rule: str | Predicate) -> None:
        if not isinstance(rule, str) and not callable(rule):
            raise SpaceError.at("", "must be an expression, a function or 'package.module:function'", rule)
        self._function = None if isinstance(rule, str) else rule
        self.path = rule.strip() if isinstance(rule, str) and _PATH.fullmatch(rule.strip()) else None
        self.text = rule if isinstance(rule, str) else _path_of(rule)
        self.names: frozenset[str] = frozenset()
        self._value = None
        if isinstance(rule, str) and not self.path:
            self._value, self.names = parse(rule)

    def __eq__(self, other: object) -> bool:
        """The same text, or the same function."""
        if not isinstance(other, Constraint):
            return NotImplemented
        if self._function and other._function:
            return self._function is other._function
        return self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[type[Constraint], tuple[str | Predicate]]:
        """For pickle and copy: what it was made of."""
        return Constraint, (self._function or self.text,)

    def __repr__(self) -> str:
        return f"Constraint({self.text!r})"

    @property
    def is_loaded(self) -> bool:
        """Whether it can be asked without an import."""
        return not self.path or self.path.partition(":")[0] in sys.modules

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether the rule holds for the active parameters in `config`. Raises SpaceError if it cannot be evaluated."""
        if not self.names <= config.keys():
            return True
        try:
            result = (
                self._value(config)
                if self._value
                else self._predicate({name: fresh(value) for name, value in config.items()})
            )
        except SpaceError:
            raise
        except (Exception, SystemExit) as error:  # whatever a user's function may raise
            raise self._broken(f"raised {describe(error)}", config) from error
        if not isinstance(result, bool | np.bool_):
            raise self._broken(f"gave {shorten(result)}", config)
        return bool(result)

    def spec(self) -> str:
        """The rule as YAML writes it. Raises SpaceError for a function that cannot be found again by its name."""
        if self._function and _found(self.text) is not self._function:
            rule = "a function must be at the top level of a module that can be imported, to be found again by its name"
            raise SpaceError.at("", rule, self.text)
        return self.text

    @cached_property
    def _predicate(self) -> Predicate:
        return self._function or _imported(self.path or "")

    def _broken(self, what: str, config: Mapping[str, Any]) -> SpaceError:
        shown = {name: config[name] for name in config if name in self.names or not self.names}
        return SpaceError(f"{self.text!r} must be true or false, but {what} for {shorten(shown)}")


def _path_of(function: Predicate) -> str:
    module, name = (getattr(function, part, None) for part in ("__module__", "__qualname__"))
    return f"{module}:{name}" if module and name else repr(function)


def _found(path: str) -> object:
    """What a reader of the path would import, of the modules that are loaded; a script is no module to others."""
    module, _, name = path.partition(":")
    return getattr(sys.modules.get(module), name, None) if module != "__main__" else None


def _imported(path: str) -> Predicate:
    module, _, name = path.partition(":")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's module may raise
        raise SpaceError(f"{path!r} cannot be imported: {describe(error)}") from error
    function: Predicate | None = getattr(found, name, None)
    if not callable(function):
        hint = nearest(name, vars(found))
        raise SpaceError(f"{path!r} must name a function, but {module} has none of that name" + (hint and f";{hint}"))
    return function
