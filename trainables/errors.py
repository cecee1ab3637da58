"""Errors in settings and students, the form of values in messages, and suggestions for names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Self

from pydantic import ValidationError


class SettingError(ValueError):
    """Settings with which no trial can be trained: a line a mistake, each of which begins with its key.

    Attributes:
        key: of the mistake, where there is one alone.
        validation: pydantic's error, where settings could not be made, for those who know the keys by other names.
    """

    key: str = ""
    validation: ValidationError | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes, which pydantic's error cannot reach."""
        return type(self), self.args, {"key": self.key}

    @classmethod
    def at(cls, key: str, rule: str) -> Self:
        """The error of that key; the rule says what was got as well."""
        error = cls(f"{key}: {rule}")
        error.key = key
        return error


class StudentError(ValueError):
    """A student that cannot be made as asked of it."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C during a series of measurements; `results` holds those that were finished."""

    def __init__(self, results: Any) -> None:
        super().__init__(results)
        self.results = results


def near_miss(name: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean 'lr'?" to end an error's text with; empty where no known name is near.

    A name that holds the given one is nearer than one that is spelled like it.
    """
    names, given = {one.casefold(): one for one in known}, name.casefold()
    longer = [one for one in names if given in one] if len(given) > 1 else []
    matches = get_close_matches(given, longer, n=1, cutoff=0) or get_close_matches(given, names, n=1)
    return f"; did you mean {names[matches[0]]!r}?" if matches else ""


def shorten(value: object, limit: int = 120) -> str:
    """A value as a message shows it: on one line, cut to `limit` characters."""
    try:
        text = " ".join(repr(value).split("\n"))
    except ValueError:  # Python writes out no integer of more than 4300 digits
        return "a number of thousands of digits"
    except Exception:  # whatever the repr of a user's object may raise
        return f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
