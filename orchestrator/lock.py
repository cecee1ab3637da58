"""One process at a time works on a run, and one that was killed does not stand in the way of the next."""

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
from trainables.storage import (
    Place,
    delete_file,
    exists,
    join,
    local_path,
    make_folder,
    modified,
    read_bytes,
    write_bytes,
)

LOCK = "lock"
"""What in a run's folder is the lock's: whoever empties the folder while holding it must leave this."""

LEASE_S = 60.0


class RunLock:
    """Held from `__enter__`, which raises SweepError if another process holds it, to `__exit__`.

    On a local or shared file system it is `flock` on the file `lock`, which the kernel frees when its owner dies,
    however it dies. NFS passes it on to its server; a file system without it, as some mounts of Lustre, is refused.

    In an object store, which has no locks, it is a lease: an object `lock/<owner>` that its owner renews four times in
    `lease_s` seconds. Whoever wants the lock writes its own object first and then lists them all; one that finds
    another's, no older than `lease_s` by the store's clock, withdraws. So of two that come at once at most one goes on,
    perhaps none, provided that the store lists what was written before: S3, GCS and Azure do. Its limits: after its
    owner was killed the lock is taken for up to `lease_s`; an owner that stood still for longer, as on a laptop that
    slept, may have lost it, and only `check` tells.
    """

    def __init__(self, folder: Place, lease_s: float = LEASE_S) -> None:
        path = local_path(folder)
        self._lock: _FileLock | _Lease = _Lease(folder, lease_s) if path is None else _FileLock(path)

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def check(self) -> None:
        """Raises LockLost if the lock has been lost. Asks nobody, so it may be called often."""
        self._lock.check()


class _FileLock:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1

    def acquire(self) -> None:
        make_folder(self._folder)
        file = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(file, 1000)
            os.close(file)
            raise _taken(self._folder, owner) from None
        except OSError as error:
            os.close(file)
            raise SweepError(f"{self._folder}: must be where flock works, but: {error.strerror}") from None
        self._file = file
        with suppress(OSError):  # a full disk: who holds the lock is a courtesy
            os.ftruncate(file, 0)
            os.write(file, _myself())

    def release(self) -> None:
        os.close(self._file)

    def check(self) -> None:
        """The kernel takes no lock away."""


class _Lease:
    def __init__(self, folder: Place, lease_s: float) -> None:
        self._folder, self._claims, self._lease_s = folder, join(folder, LOCK), lease_s
        self._name = uuid.uuid4().hex
        self._mine = join(self._claims, self._name)
        self._content = _myself()
        self._renewed = 0.0
        self._lost = False
        self._released = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> None:
        self._renewed = _now()
        write_bytes(self._mine, self._content)
        try:
            self._remove_or_raise()
        except BaseException:
            delete_file(self._mine)
            raise
        self._renewer.start()

    def release(self) -> None:
        self._released.set()
        self._renewer.join()
        with suppress(OSError):
            delete_file(self._mine)

    def check(self) -> None:
        if self._lost or _now() - self._renewed > self._lease_s:
            raise LockLost(f"{self._folder}: the lock could not be renewed for {self._lease_s:g} s and is lost")

    def _remove_or_raise(self) -> None:
        """Removes claims that are not renewed any more; raises SweepError if one is."""
        claims = modified(self._claims)
        if self._name not in claims:
            raise self._refused(b"")
        now = claims.pop(self._name)
        for name, then in claims.items():
            if now - then < self._lease_s:
                raise self._refused(_read(join(self._claims, name)))
        for name in claims:
            delete_file(join(self._claims, name))

    def _refused(self, owner: bytes) -> SweepError:
        return SweepError(f"{_taken(self._folder, owner)}; if that was killed, its lock ends in {self._lease_s:g} s")

    def _renew(self) -> None:
        while not self._released.wait(self._lease_s / 4):
            started = _now()
            with suppress(OSError):
                # Whoever takes over removes this claim: it must not come back.
                if started - self._renewed > self._lease_s or not exists(self._mine):
                    self._lost = True
                    return
                write_bytes(self._mine, self._content)
                self._renewed = started


def _now() -> float:
    """Seconds by a clock that nobody sets and that, where there is one, goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _myself() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since}).encode()


def _read(place: Place) -> bytes:
    try:
        return read_bytes(place)
    except OSError:
        return b""


def _taken(folder: Place, owner: bytes) -> SweepError:
    try:
        known: dict[str, Any] = json.loads(owner)
        who = f"process {known['pid']} on {known['host']} has been since {known['since']}"
    except (ValueError, LookupError):
        who = "another one is"
    return SweepError(f"{folder}: one process at a time must be at work on a run, but {who}")
