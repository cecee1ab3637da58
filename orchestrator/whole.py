"""Parts of a run that only a longer journal can have made: where they are, a part of the journal is missing."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import SweepError
from orchestrator.events import Event
from orchestrator.journal import SessionJournal
from orchestrator.layout import CHECKPOINTS, JOURNAL, TRIALS
from orchestrator.record import Record
from orchestrator.table_sums import is_whole
from trainables.storage import Place, children, join, read_bytes


@dataclass(frozen=True)
class Parts:
    """The trials that a run's table and checkpoints tell of, as of when they were looked at."""

    folder: Place
    rows: int
    trained: tuple[str, ...]

    @classmethod
    def of(cls, folder: Place) -> Self:
        """Look before the journal is read: a run at work only adds to it."""
        return cls(folder, _rows(join(folder, TRIALS)), tuple(children(join(folder, CHECKPOINTS))))

    def check(self, record: Record) -> None:
        """Raises SweepError if they tell of trials that the record does not have, with how to go on."""
        known, unknown = len(record.trials), [name for name in self.trained if name not in record.trials]
        there = [f"{TRIALS} has {self.rows} trials"] if self.rows > known else []
        there += [f"{CHECKPOINTS} has {', '.join(unknown[:3])}{', ...' if unknown[3:] else ''}"] if unknown else []
        if there:
            holds = f"holds {known} trials" if known else "is missing or empty"
            raise SweepError(
                f"{self.folder}: its journal {holds}, but {' and '.join(there)}: put what is missing back into "
                f"{JOURNAL}; or remove those tables and checkpoints to go on with what is known; or run the sweep "
                "again with --replace"
            )


def replayed(journal: SessionJournal, record: Record, folder: Place) -> list[Event]:
    """The events of the journal, which the record then has, when a process begins to work on the run in `folder`."""
    parts = Parts.of(folder)
    journal.begin()
    events = list(journal.read())
    record.replay(events)
    parts.check(record)
    record.notes += journal.notes
    return events


def _rows(table: Place) -> int:
    try:
        data = read_bytes(table)
        return int(pq.read_metadata(BytesIO(data)).num_rows) if is_whole(data) else 0
    except (pa.ArrowException, FileNotFoundError):
        return 0  # a damaged table proves nothing
