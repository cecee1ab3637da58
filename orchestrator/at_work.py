"""Liveness of a run, for readers: its lock is held as long as a process works on it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from orchestrator.lock import LEASE_S, LOCK
from trainables.storage import Place, join, local_path, modified


def is_at_work(folder: Place) -> bool:
    """Whether a process holds the run's lock, or may do so where the lock cannot be looked at."""
    path = local_path(folder)
    if path is not None:
        return _is_locked(path / LOCK)
    return any(time.time() - renewed < LEASE_S for renewed in modified(join(folder, LOCK)).values())


def _is_locked(path: Path) -> bool:
    """A shared lock is taken for a moment, and only if nobody holds the run's."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)
