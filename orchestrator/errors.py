"""The errors that end a command with a message and not a traceback."""

from __future__ import annotations

import errno

from search_spaces import SpaceError
from trainables import DataError, SettingError
from trainables.claim import ClaimLost
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
    """The disk or object store that the run lives in fails, refuses or does not answer."""

    remedy = "see to the storage"


class LockLost(Unfinished):
    """The lock on the run is gone: the run may be another process's by now."""

    remedy = "see that no other process is at work on it"


class TimingFailed(Unfinished):
    """The latency of models could not be measured."""

    remedy = "see to the cause"


def unfinished(error: BaseException, place: object = None) -> Unfinished | None:
    """The end of the run that an error of its storage means; None for any other error.

    place: of the run's files, whatever OSError happens with them; None if the error may be of other files.
    """
    if isinstance(error, ClaimLost):
        return LockLost(str(error))
    if not isinstance(error, OSError):
        return None
    text = str(error) if place is None or isinstance(error, StoreError) else f"{place}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(text)
    return StoreFailed(text) if place is not None or isinstance(error, StoreError) else None


USER_ERRORS = (SweepError, SpaceError, SettingError, DataError, ArtefactError, StorageError, StoreError)
"""Every error that is the user's to mend: the command prints its text and exits with 2."""
