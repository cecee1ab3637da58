"""Checkpoints that are whole or not there, and are read as data, never as code."""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any

import torch

from trainables.storage import Place, local_path, read_bytes, write_bytes


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
        state = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is not a whole checkpoint: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is not a checkpoint, but a {type(state).__name__}")
    return state
