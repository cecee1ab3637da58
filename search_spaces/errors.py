"""The one error of this package, how values are shown in it, and the one place that suggests near misses."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb
from typing import Self

_OURS = str(Path(__file__).parent)


class SpaceError(ValueError):
    """A search space, or a configuration of it, breaks a rule; `place` says which part does, "" if that is all."""

    place: str = ""

    @classmethod
    def at(cls, place: str, rule: str, got: object, *, among: Iterable[object] = ()) -> Self:
        """The error of `place`: its rule, the value that broke it and the nearest of the names allowed."""
        hint = nearest(got, among) if isinstance(got, str) else ""
        error = cls(f"{rule}, but got {shorten(got)}" + (f";{hint}" if hint else ""))
        return error.within(place) if place else error

    def within(self, place: str) -> Self:
        """The same error, seen from the part `place` that holds the faulty one."""
        error = type(self)(f"{place}.{self}" if self.place else f"{place}: {self}")
        error.place = place
        return error

    def in_file(self, name: str) -> Self:
        """The same error, with the name of the file in which the faulty part is."""
        return type(self)(f"{name}: {self}")


def nearest(name: str, names: Iterable[object]) -> str:
    """A suggestion such as " did you mean 'lr'?", or nothing where no name is near.

    A name that holds the given one is nearer than one that is spelled like it.
    """
    known = {name.casefold(): name for name in names if isinstance(name, str)}
    given = name.casefold()
    longer = [one for one in known if given in one] if len(given) > 1 else []
    matches = get_close_matches(given, longer, n=1, cutoff=0) or get_close_matches(given, known, n=1)
    return f" did you mean {known[matches[0]]!r}?" if matches else ""


def describe(error: BaseException) -> str:
    """A user's exception in one line: its kind, its text without what cannot be printed, its innermost line of code.

    Never raises, whatever the exception does when it is asked for its text.
    """
    try:
        text = str(error)
    except BaseException:  # whatever a user's __str__ may raise
        text = ""
    plain = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(text[:500].split()))
    kind = type(error).__name__
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    theirs = [f" ({file}:{line})" for file, line in places if not file.startswith((_OURS, "<"))]
    return (f"{kind}: {plain}" if plain else kind) + (theirs[-1] if theirs else "")


def shorten(value: object, limit: int = 120) -> str:
    """A value as a message shows it: on one line, cut to `limit` characters."""
    try:
        text = " ".join(repr(value).split("\n"))
    except ValueError:  # Python writes out no integer of more than 4300 digits
        return "a number of thousands of digits"
    except Exception:  # whatever the repr of a user's object may raise
        return f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
