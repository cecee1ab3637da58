"""What a person sees while a sweep runs: a live table in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from orchestrator.analysis import savings
from orchestrator.events import Event
from orchestrator.record import Record, Trial
from orchestrator.sweep import Sweep
from orchestrator.time_spent import minutes_of

_LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal."""
_PACE_FROM = 3
"""Trials that must be over before a pace is told."""


class Progress:
    """Shows a record while it grows; a context manager.

    Args:
        elapsed: seconds of all the run's sessions, up to now; None are those of the record.
        quiet: shows nothing.
    """

    def __init__(
        self, sweep: Sweep, record: Record, elapsed: Callable[[], float] | None = None, *, quiet: bool = False
    ) -> None:
        self._sweep, self._record = sweep, record
        self._elapsed = elapsed or (lambda: record.elapsed)
        self._last_line = time.monotonic()
        console = Console()
        self._console = None if quiet else console
        live = console.is_terminal and not quiet
        self._live = Live(get_renderable=self._table, refresh_per_second=4, console=console) if live else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        else:
            self._record.listen(self._tell)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.refresh()
            self._live.__exit__(None, None, None)
        elif self._console:
            self._console.print(self.line(), soft_wrap=True, highlight=False)

    def figures(self) -> dict[str, str]:
        """What is worth knowing now, by name."""
        record, sweep = self._record, self._sweep
        trials = list(record.trials.values())
        controls = [trial for trial in trials if not sweep.compares(trial.config)]
        counts = Counter(trial.status for trial in trials)
        best = next(iter(record.best()), None)
        what = "students" if sweep.trains_students else "trials"
        known = {
            "limit": record.limit,
            what: f"{len(trials) - len(controls)}/{sweep.most_trials or '?'}",
            "controls": str(len(controls)),
            **{status: str(counts[status]) for status in ("running", "completed", "stopped", "failed")},
            "faults": str(sum(len(trial.faults) for trial in trials)),
            f"best {sweep.metric}": f"{record.sign * best.loss:.4g} (trial {best.id})" if best else "-",
            "epochs": _of(record.epochs_trained, sweep.limits.epochs),
            "epochs saved": f"{savings(record, sweep.epochs_of)['epochs_saved']:.0f}",
            "models": str(len(record.models)),
            "elapsed": minutes_of(self._elapsed()),
            "left": self._left(trials),
        }
        return {name: value for name, value in known.items() if value not in ("0", "")}

    def line(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.figures().items())

    def _table(self) -> RenderableType:
        table = Table(title=f"halving: {self._sweep.name}", title_justify="left", show_header=False)
        for name, value in self.figures().items():
            table.add_row(name, value)
        running = (trial for trial in list(self._record.open.values()) if trial.status == "running")
        table.add_row("running at epoch", " ".join(f"{trial.id}:{len(trial.epochs)}" for trial in running) or "-")
        return table

    def _tell(self, event: Event) -> None:
        """Called at every event of the record."""
        now = time.monotonic()
        if self._console and now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            self._console.print(self.line(), soft_wrap=True, highlight=False)

    def _left(self, trials: list[Trial]) -> str:
        """From the pace so far, to whatever ends the search first; unknown before the third trial is over."""
        over, epochs, searched = sum(t.is_over for t in trials), self._record.epochs_trained, self._record.time.search
        limits = self._sweep.limits
        ends = [(over, self._sweep.most_trials), (epochs, limits.epochs), (searched / 60, limits.minutes)]
        share = max(done / most if most else 0.0 for done, most in ends)
        if over < _PACE_FROM or self._record.limit or not 0 < share < 1:
            return ""
        return "about " + minutes_of(searched / share * (1 - share))


def _of(count: int, most: int | None) -> str:
    return f"{count}/{most}" if most else str(count)
