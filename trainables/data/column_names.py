"""Names of a table's columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from unicodedata import normalize

_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)*|__index_level_\d+__")
"""Names that pandas gives to columns without one."""


def clean_name(name: str) -> str:
    """Without spaces around it, and with each letter in one piece."""
    return normalize("NFC", name.strip())


def is_unnamed(name: str) -> bool:
    """True for the name that a column without one is given."""
    return _UNNAMED.fullmatch(name) is not None


def checked_names(names: Sequence[str]) -> list[str]:
    """Clean names, and `Unnamed: PLACE` where there is none. Raises ValueError for a name that comes twice."""
    clean = [clean_name(name) or f"Unnamed: {place}" for place, name in enumerate(names)]
    for name, count in Counter(clean).items():
        if count > 1:
            raise ValueError(f"it must have one column of each name, but has {count} of {name!r}")
    return clean
