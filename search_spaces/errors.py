"""The one error of this package, and the one place that suggests near misses."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self


class SpaceError(ValueError):
    """A search space, or a configuration of it, breaks a rule."""

    @classmethod
    def at(cls, where: str, rule: str, got: object, *, among: Iterable[object] = ()) -> Self:
        """The error of `where`: its rule, the value that broke it and the nearest of the names allowed."""
        hint = nearest(got, among) if isinstance(got, str) else ""
        return cls(f"{where}: {rule}, but got {got!r}" + (f";{hint}" if hint else ""))

    def within(self, where: str) -> Self:
        """The same error, seen from the place `where` that holds the faulty part."""
        return type(self)(f"{where}: {self}")


def nearest(name: str, names: Iterable[object]) -> str:
    """A suggestion such as " did you mean 'lr'?", or nothing where no name is near."""
    matches = get_close_matches(name, [known for known in names if isinstance(known, str)], n=1)
    return f" did you mean {matches[0]!r}?" if matches else ""
