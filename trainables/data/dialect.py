"""Separator, decimal sign and encoding of CSV files."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.config import DataConfig


@dataclass(frozen=True)
class Dialect:
    """What is known of a CSV file beforehand; None is found out from the file.

    separator, encoding: those of the file. decimal: the decimal sign of numbers that can be read either way.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    @classmethod
    def of(cls, config: DataConfig) -> Dialect:
        """The dialect that the settings name."""
        return cls(config.separator, config.decimal, config.encoding)
