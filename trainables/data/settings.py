"""What all kinds of data ask of their settings."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from trainables.config import DataConfig
from trainables.data.dataset import DataError


def required_path(config: DataConfig, what: str) -> Path:
    """`data.path`, which must be there. Raises DataError, which says what it should be."""
    if config.path is None:
        raise DataError(f"data.path must name {what}, but got None")
    path = Path(config.path)
    if not path.exists():
        raise DataError(f"{path} must be {what}, but it does not exist")
    return path


def near(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was probably meant, or ""."""
    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
