"""A user's own code by its import path."""

from __future__ import annotations

import importlib
from typing import Any

from trainables.errors import near_miss


def import_named(name: str) -> Any:
    """What `name`, "package.module:attribute", leads to. Raises ValueError, whose text quotes the name."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"must be 'package.module:name', but got {name!r}")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever a user's module may raise
        raise ValueError(f"{name!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(found, attribute):
        hint = near_miss(attribute, [known for known in vars(found) if not known.startswith("_")])
        raise ValueError(f"{name!r} cannot be imported: {module} has no {attribute!r}{hint}")
    return getattr(found, attribute)
