"""When a search is over before its searcher has no more to propose."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    return next((words for _, words in _reached(rules, record)), "") or nothing_works(rules, record)


def name_of_reached(rules: Rules, record: Record) -> str:
    """The key in `limits` of the limit that the record has reached, such as `epochs`, or nothing."""
    return next((name for name, _ in _reached(rules, record)), "")


def nothing_works(rules: Rules, record: Record) -> str:
    """The reason to give a search up, in words, or nothing.

    So many trials of this session have ended, all of them failed, and none that is under way has reported. Failures of
    earlier sessions do not count: their cause may be gone.
    """
    failed = record.session_ends["failed"]
    if failed < rules.faults.give_up or failed < record.session_ends.total() or record.reporting:
        return ""
    return f"all of the first {failed} trials failed; the last: {record.ended[-1].error}"


def _reached(rules: Rules, record: Record) -> Iterator[tuple[str, str]]:
    """The name of each limit that is reached, and the fact in words."""
    limits = rules.limits
    if limits.epochs and (epochs := record.epochs_trained) >= limits.epochs:
        yield "epochs", f"{epochs} epochs are trained, of limits.epochs {limits.epochs}"
    if limits.minutes and record.time.search >= 60 * limits.minutes:
        yield "minutes", f"{record.time.search / 60:.1f} minutes have passed, of limits.minutes {limits.minutes:g}"
    best = next(iter(record.best()), None) if limits.target is not None else None
    if limits.target is not None and best and best.loss <= record.sign * limits.target:
        value = f"{record.metric} {record.sign * best.loss:.4g}"
        yield "target", f"trial {best.id} has reached {value}, limits.target {limits.target:g}"
    if limits.patience and (since := _since_best(rules, record)) >= limits.patience:
        yield "patience", f"{since} trials since the best one, of limits.patience {limits.patience}"


def _since_best(rules: Rules, record: Record) -> int:
    """How many trials have ended since the one with the lowest loss, failed ones among them; 0 before there is one.

    Controls, which search for nothing, do not count.
    """
    losses = [trial.loss for trial in record.ended if rules.compares(trial.config)]
    usable = [loss for loss in losses if not math.isnan(loss)]
    return len(losses) - 1 - losses.index(min(usable)) if usable else 0
