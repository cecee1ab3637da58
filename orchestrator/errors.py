"""The errors that end a command with a message and not a traceback."""

from __future__ import annotations

import errno

from search_spaces import SpaceError
from trainables import DataError, SettingError
from trainables.compress.card import ArtefactError
from trainables.storage import StorageError, StoreError


class SweepError(ValueError):
    """A sweep, a run folder or a cluster that cannot be used as asked; nothing has been started."""


class Unfinished(RuntimeError):
    """A run has ended before its end. Nothing is lost: it can be resumed after the `remedy`."""

    remedy = ""


class DiskFull(Unfinished):
    """There is no room for what must be written."""

    remedy = "make room"


class StoreFailed(Unfinished):
    """The object store that the run lives in does not answer, or refuses."""

    remedy = "see to the store"


class LockLost(Unfinished):
    """The run may be another process's by now."""

    remedy = "see that no other process is at work on it"


class TimingFailed(Unfinished):
    """The latency of models could not be measured."""

    remedy = "see to the cause"


def unfinished(error: BaseException) -> Unfinished | None:
    """The end of the run that an error of its storage means; None for any other error."""
    if isinstance(error, StoreError):
        return StoreFailed(str(error))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(str(error))
    return None


USER_ERRORS = (SweepError, SpaceError, SettingError, DataError, ArtefactError, StorageError, StoreError)
"""Every error that is the user's to mend: the command prints its text and exits with 2."""
