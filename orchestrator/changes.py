"""Changes of the settings of a run that has begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import SweepError
from orchestrator.sweep import Sweep, make_sweep
from search_spaces import same, shorten

FIXED = ("name", "storage", "seed", "metric", "mode", "train")
FREE_OF_TRAIN = ("epochs", "parallel")


def changed(sweep: Sweep, changes: Mapping[str, Any]) -> Sweep:
    """The sweep with other settings, as a run that has begun may take them.

    Args:
        changes: in the shape of a sweep; sections are laid over those of the sweep, a space replaces the space.

    Raises:
        SweepError: they are no sweep, or would make what has been trained worthless.
    """
    values = sweep.model_dump()
    for key, value in changes.items():
        old = values.get(key)
        values[key] = (
            {**old, **value} if key != "space" and isinstance(old, dict) and isinstance(value, Mapping) else value
        )
    after = make_sweep(values)
    for key in FIXED:
        old, new = (_fixed(one, key) for one in (sweep, after))
        if not same(old, new):
            raise SweepError(_difference(key, old, new))
    return after


def _fixed(sweep: Sweep, key: str) -> Any:
    value = getattr(sweep, key)
    return {name: value[name] for name in value if name not in FREE_OF_TRAIN} if key == "train" else value


def _difference(path: str, old: Any, new: Any) -> str:
    """Name the first key that differs, with its two values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*new, *old]):
            if key not in new or key not in old or not same(old[key], new[key]):
                return _difference(f"{path}.{key}", old.get(key), new.get(key))
    return f"{path}: must stay {shorten(old)} when a run is resumed, but got {shorten(new)}"
