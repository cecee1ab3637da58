"""Checkpoints that are whole or not there, whose damage is known, and that are read as data, never as code."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections.abc import Container, Mapping
from datetime import date, datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import torch

from trainables.storage import Place, exists, read_bytes, replace_file, sibling, write_bytes

PREVIOUS = "previous.pt"
"""The checkpoint before, beside the last one of a trial."""

_DATES: list[Any] = [date, datetime, timezone, timedelta]
"""Beside tensors and plain data the only types that are read, for the arguments of a user's own code."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names its file."""


class DamagedCheckpoint(CheckpointError):
    """A file that is not what was written."""


def save_checkpoint(path: Place, state: dict[str, Any]) -> None:
    """Replaces the file at `path`; a reader, or a crash, meets the old one or the new. Raises OSError."""
    write_bytes(path, _packed(state))


def replace_checkpoint(path: Place, state: dict[str, Any]) -> None:
    """As `save_checkpoint`, but what was at `path` stays beside it as `previous.pt`."""
    replace_file(path, _packed(state), sibling(path, PREVIOUS))


def load_checkpoint(path: Place) -> dict[str, Any]:
    """The saved dict, its tensors on the CPU. Raises FileNotFoundError, or DamagedCheckpoint.

    Every part of the file has a CRC-32, which torch writes and does not compare.
    """
    data = read_bytes(path)
    try:
        with zipfile.ZipFile(BytesIO(data)) as parts:
            if part := parts.testzip():
                raise DamagedCheckpoint(f"{path} is not a whole checkpoint: {part} is not what was written")
        with torch.serialization.safe_globals(_DATES):
            state = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise DamagedCheckpoint(f"{path} is not a whole checkpoint: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is not a checkpoint, but a {type(state).__name__}")
    return state


def load_last(path: Place) -> tuple[dict[str, Any] | None, str]:
    """The last sound checkpoint of a trial, at `path` or before it, and a line if that is not the last one.

    None without any. Raises DamagedCheckpoint if none of those that are there is sound.
    """
    before = sibling(path, PREVIOUS)
    if exists(path):
        try:
            return load_checkpoint(path), ""
        except DamagedCheckpoint as error:
            if not exists(before):
                raise
            return load_checkpoint(before), f"{error}; {PREVIOUS} is used"
    if exists(before):
        return load_checkpoint(before), f"{path} is missing; {PREVIOUS} is used"
    return None, ""


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


_DAMAGE = (
    *(RuntimeError, EOFError, LookupError, ValueError, NotImplementedError, AssertionError, OverflowError),
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, zipfile.LargeZipFile, TypeError, AttributeError),
)
"""What the readers of a damaged file raise."""


def _packed(state: dict[str, Any]) -> memoryview:
    # Through memory: where the disk is full, torch's own writer hides that behind an error of its format.
    buffer = BytesIO()
    counted = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        torch.save(state, buffer)
    finally:
        torch.serialization.set_crc32_options(counted)
    return buffer.getbuffer()
