"""The errors that end a command with a message and not a traceback."""

from __future__ import annotations

from search_spaces import SpaceError
from trainables import DataError
from trainables.storage import StorageError


class SweepError(ValueError):
    """A sweep, a run folder or a cluster that cannot be used as asked; nothing has been started."""


class DiskFull(RuntimeError):
    """There is no room for what must be written. The run can be resumed once there is."""


USER_ERRORS = (SweepError, SpaceError, DataError, StorageError)
"""Every error that is the user's to mend: the command prints its text and exits with 2."""
