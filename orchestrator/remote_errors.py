"""Errors of remote work, in one line."""

from __future__ import annotations

from ray.exceptions import RayActorError, RayTaskError


def describe(error: Exception) -> str:
    """The kind and the text of what went wrong, without Ray's wrapping."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause
    if isinstance(error, RayActorError):
        return "a worker of the trial died"
    return f"{type(error).__name__}: {error}"
