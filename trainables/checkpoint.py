"""Checkpoints that are whole or not there, and are read as data, never as code."""

from __future__ import annotations

import pickle
from collections.abc import Container, Mapping
from datetime import date, datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import torch

from trainables.storage import Place, local_path, read_bytes, write_bytes

_DATES: list[Any] = [date, datetime, timezone, timedelta]
"""Beside tensors and plain data the only types that are read, for the arguments of a user's own code."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names its file."""


def save_checkpoint(path: Place, state: dict[str, Any]) -> None:
    """Replaces the file at `path`; a reader, or a crash, meets the old one or the new. Raises OSError."""
    # Through memory: where the disk is full, torch's own writer hides that behind an error of its format.
    buffer = BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getbuffer())


def load_checkpoint(path: Place) -> dict[str, Any]:
    """The saved dict, its tensors on the CPU. Raises FileNotFoundError, or CheckpointError if damaged."""
    source = local_path(path) or BytesIO(read_bytes(path))
    try:
        with torch.serialization.safe_globals(_DATES):
            state = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is not a whole checkpoint: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is not a checkpoint, but a {type(state).__name__}")
    return state


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any], but: Container[str] = ()) -> list[str]:
    """The keys of our config, but for some, under which another has another value: 1 is 1.0, but not True."""
    return [key for key in ours if key not in but and not _alike(ours[key], theirs.get(key))]


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(_alike, a, b))
    both_nan = isinstance(a, float) and isinstance(b, float) and a != a and b != b
    return both_nan or (isinstance(a, bool) == isinstance(b, bool) and bool(a == b))
