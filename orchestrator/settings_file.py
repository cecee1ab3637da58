"""Settings that a user has written as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import SweepError
from search_spaces import SpaceError, read_yaml, shorten
from trainables.storage import Place, local_copy


def load_mapping(path: Place) -> dict[str, Any]:
    """The settings in a YAML file. Raises SweepError if it holds none."""
    try:
        with local_copy(path) as local:
            values = read_yaml(local)
    except FileNotFoundError:
        raise SweepError(f"{path}: cannot be read: no such file") from None
    except SpaceError as error:
        raise SweepError(f"{path}: {error}") from None
    if not isinstance(values, Mapping):
        raise SweepError(f"{path}: must hold a mapping, but got {shorten(values)}")
    return dict(values)
