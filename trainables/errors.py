"""What is wrong with one trial alone: settings that are each right but do not fit, a student that cannot be made."""

from __future__ import annotations

from typing import Any, Self


class SettingError(ValueError):
    """A setting with which no trial can be trained; the message begins with its key, which `key` holds as well."""

    key: str = ""

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
