"""Claims to a run in an object store: of several at once exactly one is chosen, without locks of the store."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from typing import NamedTuple

from trainables.claim import Claim
from trainables.storage import Place, delete_file, exists, join, modified, read_bytes, write_bytes

_CHOOSING = "choosing"
_POLL_S = 0.2


class _Found(NamedTuple):
    """A claim in the store: its ticket, None while its owner chooses one; its owner; seconds since it was written."""

    ticket: int | None
    owner: str
    age: float
    name: str


class Claims:
    """Lamport's bakery: whoever comes announces itself, reads all tickets, writes the next one, and then looks again.

    The lowest ticket has the run, of equal ones the lower owner's. Whoever finds a lower one withdraws; whoever finds
    one that still chooses waits for its ticket. A claim that was not renewed for `lease_s` seconds, by the store's
    clock, counts no more, and whoever is chosen removes it. The store must list what was written before: S3, GCS and
    Azure do.

    Args:
        folder: where the claims are objects of their own.
        token: what the claim holds; it tells others who the owner is.
        lease_s: 0 takes the run whoever has it.
    """

    def __init__(self, folder: Place, token: str, lease_s: float) -> None:
        self._folder, self._token, self._lease_s = folder, token, lease_s
        self._owner = uuid.uuid4().hex
        self._name = f"{_CHOOSING}-{self._owner}"
        self._renewed = self._written = 0.0

    @property
    def mine(self) -> Claim:
        """This owner's claim."""
        return Claim(str(join(self._folder, self._name)), self._token)

    @property
    def valid_s(self) -> float:
        """Shorter than others wait, whose clocks may run faster and whose store may round times down."""
        return 0.75 * self._lease_s

    @property
    def age(self) -> float:
        """Seconds since the last renewal that was in time began."""
        return _now() - self._renewed

    def take(self) -> str | None:
        """Try to be chosen; None, or what the claim of another holds if that one has the run. Raises OSError."""
        try:
            owner = self._choose()
        except BaseException:
            with suppress(OSError):
                self._delete(f"{_CHOOSING}-{self._owner}", self._name)
            raise
        if owner is not None:
            self._delete(f"{_CHOOSING}-{self._owner}", self._name)
        return owner

    def renew(self) -> bool:
        """Write the claim again; False if it is gone, or if that took until it was no longer valid.

        By then another may have taken the run over: this claim must not stand beside that one's. Raises OSError.
        """
        started = _now()
        if self.age > self.valid_s or not exists(self.mine.place):
            return False
        self._write()
        if self.age > self.valid_s:
            self.leave()
            return False
        self._renewed = started
        return True

    def leave(self) -> None:
        """Remove the claim."""
        self._delete(self._name)

    def _choose(self) -> str | None:
        self._renewed = _now()
        self._write()
        others = self._others()
        if others is None:
            return ""
        ticket = 1 + max((found.ticket or 0 for found in others), default=0)
        self._name = f"{ticket:06d}-{self._owner}"
        self._write()
        if self._lease_s and self.age > self.valid_s:
            return ""  # others may have counted it as dead, and chosen without it
        self._delete(f"{_CHOOSING}-{self._owner}")
        return self._first_before(ticket)

    def _first_before(self, ticket: int) -> str | None:
        """What the claim holds that comes before this one; None, with all dead claims removed, if there is none."""
        while True:
            others = self._others()
            if others is None:
                return ""
            alive = [found for found in others if found.age < self._lease_s]
            before = [
                one for one in alive if one.ticket is not None and (one.ticket, one.owner) < (ticket, self._owner)
            ]
            if before:
                return self._content(before[0].name)
            if not any(found.ticket is None for found in alive):
                break
            time.sleep(_POLL_S)
            if self.age > self._lease_s / 4 and not self.renew():
                return ""
        self._delete(*(found.name for found in others if found not in alive))
        return None

    def _others(self) -> list[_Found] | None:
        """All claims but this owner's; None if its own is not there, which others have removed as dead."""
        asked, times = _now(), modified(self._folder)
        if self._name not in times:
            return None
        now = times[self._name] + asked - self._written
        return [_found(name, now - then) for name, then in times.items() if not name.endswith(self._owner)]

    def _write(self) -> None:
        write_bytes(self.mine.place, self._token.encode())
        self._written = _now()

    def _delete(self, *names: str) -> None:
        for name in names:
            delete_file(join(self._folder, name))

    def _content(self, name: str) -> str:
        try:
            return read_bytes(join(self._folder, name)).decode(errors="replace")
        except OSError:
            return ""


def _found(name: str, age: float) -> _Found:
    ticket, _, owner = name.rpartition("-")
    if ticket == _CHOOSING:
        return _Found(None, owner, age, name)
    return _Found(int(ticket) if ticket.isdecimal() else 0, owner, age, name)


def _now() -> float:
    """Seconds by a clock that nobody sets and that, where there is one, goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
