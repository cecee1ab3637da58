"""One process at a time works on a run, and one that was killed does not keep the next one out."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from orchestrator.errors import LockLost, SweepError
from orchestrator.lease import Claims
from trainables.claim import Claim
from trainables.patience import end_hurry
from trainables.storage import Place, absolute, join, local_path, make_folder

LOCK = "lock"
"""The lock's name in a run's folder: whoever empties the folder while holding the lock must leave it."""

LEASE_S = 60.0
_JOIN_S = 2.0
"""Seconds to wait for a renewal that is under way when the lock is given back."""
_LOOKS = 20
"""Tries before a lock counts as another's."""


class RunLock:
    """Held from `__enter__`, which raises SweepError if another process holds it, to `__exit__`.

    On a local or shared file system it is `flock` on the file `lock`, which the kernel frees when its owner dies,
    however it dies. NFS passes it on to its server; a file system without it, as some mounts of Lustre, is refused.
    An owner whose file was removed or replaced, alone or with the run's folder, has lost the lock.

    In an object store, which has no locks, it is a lease: an object `lock/<ticket>-<owner>` that its owner renews four
    times in `lease_s` seconds; see `Claims` for how one of several is chosen. After its owner was killed the lock is
    taken for up to `lease_s`. An owner that could not renew it for three quarters of that has lost it, also if a
    renewal took so long.
    """

    def __init__(self, folder: Place, lease_s: float = LEASE_S) -> None:
        path = local_path(folder)
        self._lock: _FileLock | _Lease = _Lease(folder, lease_s) if path is None else _FileLock(path)
        self._lost: LockLost | None = None

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._lock.release()
        finally:
            end_hurry()

    def check(self) -> None:
        """Raises LockLost if the lock has been lost. Asks no other process or store, so it may be called often."""
        if self._lost:
            raise self._lost
        self._lock.check()

    def lose(self, reason: LockLost) -> None:
        """Take over the word of another process of the run that the lock is lost: `check` then raises it."""
        self._lost = reason

    @property
    def claim(self) -> Claim:
        """By which other processes see that the lock is still held."""
        return self._lock.claim


class _FileLock:
    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / LOCK
        self._file = -1
        self.claim = Claim(str(absolute(self._path)), _myself())

    def acquire(self) -> None:
        try:
            make_folder(self._folder)
            while True:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                self._take(self._file)
                if self._is_there():  # and not removed between open and flock
                    break
                os.close(self._file)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, self.claim.token.encode(), 0)
        except OSError as error:
            rule = "must be writable, on a file system where flock works"
            raise SweepError(f"{self._folder}: {rule}, but: {error.strerror}") from None

    def _take(self, file: int) -> None:
        try:
            _flock(file)
        except BlockingIOError:
            owner = os.read(file, 1000)
            os.close(file)
            raise SweepError(_taken(self._folder, owner.decode(errors="replace"))) from None
        except OSError:
            os.close(file)
            raise

    def release(self) -> None:
        os.close(self._file)

    def check(self) -> None:
        if not self._is_there():
            raise LockLost(f"{self._path} was removed or replaced, alone or with the run's folder: the lock is lost")

    def _is_there(self) -> bool:
        with suppress(OSError):  # a folder that cannot be looked at proves nothing
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        return False


class _Lease:
    def __init__(self, folder: Place, lease_s: float) -> None:
        self._folder, self._lease_s = folder, lease_s
        self._claims = Claims(join(folder, LOCK), _myself(), lease_s)
        self._lost = False
        self._released = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def claim(self) -> Claim:
        return self._claims.mine

    def acquire(self) -> None:
        owner = self._claims.take()
        if owner is not None:
            rule = f"if that was killed, its lock ends in {self._lease_s:g} s"
            raise SweepError(f"{_taken(self._folder, owner)}; {rule}")
        self._renewer.start()

    def release(self) -> None:
        self._released.set()
        self._renewer.join(_JOIN_S)
        with suppress(OSError):
            self._claims.leave()

    def check(self) -> None:
        if self._lost or self._claims.age > self._claims.valid_s:
            raise LockLost(f"{self._folder}: the lock could not be renewed for {self._claims.valid_s:g} s and is lost")

    def _renew(self) -> None:
        while not self._released.wait(self._lease_s / 4):
            with suppress(OSError):
                if not self._claims.renew():
                    self._lost = True
            if self._lost or self._claims.age > self._claims.valid_s:
                return


def _flock(file: int) -> None:
    """Lock a file, unless another process holds it for longer than one that only looks; see `is_at_work`."""
    for _ in range(_LOOKS):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _myself() -> str:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since, "id": uuid.uuid4().hex})


def _taken(folder: Place, owner: str) -> str:
    try:
        known: dict[str, Any] = json.loads(owner)
        who = f"process {known['pid']} on {known['host']} since {known['since']}"
    except (ValueError, LookupError, TypeError):
        who = "another process"
    return f"{folder}: the run is in use by {who}"
