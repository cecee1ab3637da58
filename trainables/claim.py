"""Proof, for the processes that a run has started, that the run is still that of the process that started them."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.storage import StoreError, read_bytes


class ClaimLost(StoreError):
    """The run is no longer that of the process that started this one: nothing more may be written to it."""


@dataclass(frozen=True)
class Claim:
    """The mark that the owner of a run has left in it; whoever takes the run over replaces or removes it.

    Attributes:
        place: of the mark, a file or an object.
        token: the text in it, which no other owner has.
    """

    place: str
    token: str

    def check(self) -> None:
        """Raises ClaimLost if the mark is gone or another one's, StoreError if it cannot be read."""
        try:
            found = read_bytes(self.place).decode(errors="replace")
        except FileNotFoundError:
            found = ""
        if found != self.token:
            what = "is another process's" if found else "is gone"
            raise ClaimLost(f"{self.place} {what}: the lock on the run is lost")
