"""When a search is over before its searcher has no more to propose."""

from __future__ import annotations

from itertools import accumulate
from typing import Protocol

from orchestrator.record import Record
from orchestrator.sections import AshaConfig, FaultConfig, LimitConfig
from search_spaces import Config


class Rules(Protocol):
    """What decides whether trials go on: the part of a sweep that a simulation has, too."""

    @property
    def seed(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def asha(self) -> AshaConfig | None: ...
    @property
    def limits(self) -> LimitConfig: ...
    @property
    def faults(self) -> FaultConfig: ...
    @property
    def trains_students(self) -> bool: ...
    def compares(self, config: Config) -> bool: ...


def reached(rules: Rules, record: Record) -> str:
    """The limit that the record has reached, in words, or nothing.

    Limits hold over all sessions of a run together. Every trial failing is one: a sweep in which nothing works is not
    run to its end.
    """
    limits = rules.limits
    best = next(iter(record.best()), None) if limits.target is not None else None
    epochs = record.epochs_trained if limits.epochs else 0
    if limits.epochs and epochs >= limits.epochs:
        return f"{epochs} epochs are trained, of limits.epochs {limits.epochs}"
    if limits.minutes and record.elapsed >= 60 * limits.minutes:
        return f"{record.elapsed / 60:.1f} minutes have passed, of limits.minutes {limits.minutes:g}"
    if limits.target is not None and best and best.loss <= record.sign * limits.target:
        value = f"{record.metric} {record.sign * best.loss:.4g}"
        return f"trial {best.id} has reached {value}, limits.target {limits.target:g}"
    if limits.patience and (since := _since_best(rules, record)) >= limits.patience:
        return f"{since} trials since the best one, of limits.patience {limits.patience}"
    if len(record.ended) >= rules.faults.give_up and all(trial.status == "failed" for trial in record.ended):
        return f"all of the first {len(record.ended)} trials failed; the last: {record.ended[-1].error}"
    return ""


def _since_best(rules: Rules, record: Record) -> int:
    """How many trials have ended since the one with the lowest loss, without controls, which search for nothing."""
    losses = [trial.loss for trial in record.ended if trial.loss == trial.loss and rules.compares(trial.config)]
    lowest = list(accumulate(losses, min))
    return len(losses) - 1 - losses.index(lowest[-1]) if losses else 0
