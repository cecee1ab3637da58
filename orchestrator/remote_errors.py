"""Errors of remote work, as text."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar

from ray.exceptions import RayError, RayTaskError

from orchestrator.errors import Unfinished, unfinished
from orchestrator.exit_notes import death
from trainables import CheckpointError, DataError, Diverged, SettingError, StudentError
from trainables.failure import Failure, clean_line, describe
from trainables.loop import LoopError

EXPECTED = (DataError, Diverged, SettingError, StudentError, LoopError)
"""Errors of one trial alone, after which its process is as good as before."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class RemoteError(Exception):
    """An exception of another process, as plain data: the exception itself may not survive a copy.

    Attributes:
        failure: the exception as text.
        expected: whether it is one of EXPECTED.
        reason: the end of the run that it means; None for most.
        damaged: whether it was a checkpoint that cannot be used.
        died: if a process died, the text that Ray has of it; else empty.
    """

    def __init__(
        self,
        failure: Failure,
        expected: bool = False,
        reason: Unfinished | None = None,
        damaged: bool = False,
        died: str = "",
    ) -> None:
        super().__init__(failure, expected, reason, damaged, died)
        self.failure, self.expected, self.reason, self.damaged = failure, expected, reason, damaged
        self.died = died

    def __str__(self) -> str:
        return self.failure.error


def as_remote(error: BaseException, own: Collection[str] = ()) -> RemoteError:
    """The exception, or the one that Ray wraps, as one that can cross processes; `own` as for `describe`.

    A request to end this process, which is Ray's, is raised again.
    """
    if isinstance(error, SystemExit) and hasattr(error, "ray_terminate_msg"):
        raise error
    while isinstance(error, RayTaskError) and isinstance(error.cause, Exception):  # nested for a rank of a trial
        error = error.cause
    if isinstance(error, RemoteError):
        return error
    if isinstance(error, RayError) and not isinstance(error, RayTaskError):
        return RemoteError(Failure(death(str(error)), "", ""), died=str(error))
    reason = unfinished(error)
    clean = type(reason)(clean_line(str(reason))) if reason else None
    return RemoteError(describe(error, own), isinstance(error, EXPECTED), clean, isinstance(error, CheckpointError))


def text_of_errors(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The function, raising RemoteError for whatever it raises: for functions that run in another process."""

    @wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            raise as_remote(error) from None

    return call
