"""Errors of remote work, in one line."""

from __future__ import annotations

from ray.exceptions import RayActorError, RayTaskError


def cause(error: Exception) -> Exception:
    """What went wrong where it did, without Ray's wrapping; nested for a rank of a trial."""
    while isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause
    return error


def describe(error: Exception) -> str:
    """The kind and the text of what went wrong."""
    error = cause(error)
    if isinstance(error, RayActorError):
        return f"a process of the trial died: {' '.join(str(error).split())}"
    return f"{type(error).__name__}: {error}"
