"""What is known of a run, as a fold over its journal: the driver's memory and what the tables are made from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.journal import Event, Journal
from orchestrator.searchers import Observation
from search_spaces import Config

Status = Literal["pending", "running", "completed", "stopped", "failed"]


@dataclass
class Trial:
    """One configuration and what became of it.

    Attributes:
        id: four digits or more, in the order of proposal.
        status: `completed` trained all its epochs or stopped by its own patience; `stopped` was ended by ASHA.
        epochs: the metrics of every epoch, in order.
        error: why it failed.
    """

    id: str
    config: Config
    proposed: float
    status: Status = "pending"
    epochs: list[dict[str, Any]] = field(default_factory=list)
    node: str = ""
    error: str = ""
    started: float = math.nan
    ended: float = math.nan

    @property
    def is_over(self) -> bool:
        return self.status in ("completed", "stopped", "failed")

    @property
    def seconds(self) -> float:
        """Training time, summed over epochs."""
        return float(sum(epoch["seconds"] for epoch in self.epochs))

    def best_epoch(self, metric: str, sign: float) -> dict[str, Any] | None:
        """The epoch with the best value of the metric, the first of equals; None before the first epoch."""
        return min(self.epochs, key=lambda epoch: sign * epoch[metric], default=None)


class Record:
    """All trials and models of a run. Every change is an event: first in the journal, then here.

    Args:
        metric: the sweep's metric; `sign` turns it into a loss.
    """

    def __init__(self, metric: str, sign: float, journal: Journal | None = None) -> None:
        self.metric, self.sign = metric, sign
        self.trials: dict[str, Trial] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self._journal = journal
        self._ended: list[Trial] = []
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after every event from now on."""
        self._listeners.append(listener)

    def replay(self, events: Iterable[Event]) -> None:
        """Takes in what a journal says, without writing it again."""
        for event in events:
            self._apply(event)

    def propose(self, config: Config) -> Trial:
        trial = f"{len(self.trials) + 1:04d}"
        self._append({"event": "propose", "trial": trial, "config": config})
        return self.trials[trial]

    def start(self, trial: str) -> None:
        self._append({"event": "start", "trial": trial})

    def report(self, trial: str, metrics: dict[str, Any], node: str) -> None:
        self._append({"event": "epoch", "trial": trial, "metrics": metrics, "node": node})

    def end(self, trial: str, status: Status, error: str = "") -> None:
        """Ends a trial once; what comes after its end is not heard."""
        if not self.trials[trial].is_over:
            self._append({"event": "end", "trial": trial, "status": status, "error": error})

    def add_model(self, row: dict[str, Any]) -> None:
        """Adds a compressed model or lays new figures over the one of the same id."""
        self._append({"event": "model", "row": row})

    def observations(self) -> list[Observation]:
        """The trials that are over, in the order in which they ended."""
        return [self._observation(trial) for trial in self._ended]

    def pending(self) -> list[Config]:
        """The configurations proposed and not over."""
        return [trial.config for trial in self.trials.values() if not trial.is_over]

    def with_status(self, *statuses: Status) -> Sequence[Trial]:
        return [trial for trial in self.trials.values() if trial.status in statuses]

    def loss(self, trial: Trial) -> float:
        """The best loss of a trial so far; NaN if it failed or has no epoch."""
        epoch = trial.best_epoch(self.metric, self.sign)
        return math.nan if epoch is None or trial.status == "failed" else self.sign * float(epoch[self.metric])

    def best(self, count: int = 1) -> list[Trial]:
        """The trials with the lowest losses, best first, the earlier of equals first."""
        scored = [trial for trial in self.trials.values() if not math.isnan(self.loss(trial))]
        return sorted(scored, key=self.loss)[:count]

    def _observation(self, trial: Trial) -> Observation:
        return Observation(config=trial.config, loss=self.loss(trial), budget=len(trial.epochs), cost=trial.seconds)

    def _append(self, event: Event) -> None:
        event = {**event, "time": round(time.time(), 3)}
        if self._journal:
            self._journal.append(event)
        self._apply(event)
        for listener in self._listeners:
            listener()

    def _apply(self, event: Event) -> None:
        match event["event"]:
            case "propose":
                self.trials[event["trial"]] = Trial(event["trial"], event["config"], event["time"])
            case "start":
                trial = self.trials[event["trial"]]
                trial.status, trial.started = "running", event["time"]
            case "epoch":
                trial = self.trials[event["trial"]]
                trial.node = event["node"]
                trial.epochs.append(event["metrics"])
            case "end":
                trial = self.trials[event["trial"]]
                trial.status, trial.error, trial.ended = event["status"], event["error"], event["time"]
                self._ended.append(trial)
            case "model":
                row = event["row"]
                self.models[row["id"]] = {**self.models.get(row["id"], {}), **row}
