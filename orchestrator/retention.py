"""Which checkpoints stay: those of trials that may go on, and those of the best that are over."""

from __future__ import annotations

from contextlib import suppress

from orchestrator.events import Event
from orchestrator.layout import CHECKPOINTS
from orchestrator.record import Record
from trainables.storage import Place, delete_file, delete_tree, join, list_files


class Retention:
    """Keeps a run's `checkpoints` folder to what is needed.

    Args:
        keep: how many of the best trials that are over keep theirs, for the post-stage and for the user.
    """

    def __init__(self, record: Record, folder: Place, keep: int) -> None:
        self._record, self._folder, self._keep = record, join(folder, CHECKPOINTS), keep
        self._kept: set[str] = set()

    def clear(self) -> None:
        """Removes every folder that no rule keeps, such as those that a killed driver could not remove."""
        self._kept = self._best_that_are_over()
        delete_tree(self._folder, keep=self._kept | self._record.open.keys())
        for name in list_files(self._folder):
            if name.rpartition("/")[2].startswith("."):  # torn by a kill, on a disk
                delete_file(join(self._folder, name))

    def __call__(self, event: Event) -> None:
        """Looks at a trial that has just ended, and at the one that it pushed out of the best."""
        if event["event"] != "end":
            return
        kept = self._best_that_are_over()
        for trial in {event["trial"], *self._kept} - kept:
            with suppress(OSError):  # the next session's `clear` removes what stayed
                delete_tree(join(self._folder, trial))
        self._kept = kept

    def _best_that_are_over(self) -> set[str]:
        return {trial.id for trial in self._record.best_over(self._keep)}
