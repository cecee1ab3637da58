"""A run whose search is over, as a user who resumes it is told: what ended it, and the change that extends it."""

from __future__ import annotations

from orchestrator.limits import name_of_reached
from orchestrator.record import Record
from orchestrator.run_folder import command_for
from orchestrator.searchers.base import key
from orchestrator.sweep import Sweep
from trainables.storage import Place


def what_ended(sweep: Sweep, record: Record) -> str:
    """The reason, in words, for which no trial is left to start; empty as long as there may be one."""
    if record.open:
        return ""
    if record.limit and not record.gave_up:
        return record.limit
    known = len(record.trials)
    if sweep.search.trials is not None and known >= sweep.search.trials:
        return f"all of {known} trials, search.trials {sweep.search.trials}, are over"
    if is_exhausted(sweep, record):
        return f"all {sweep.space.size} configurations of the space were tried"
    return ""


def how_to_extend(sweep: Sweep, record: Record, folder: Place) -> str:
    """The command that extends the search, with the setting that has to change."""
    command = command_for("resume", folder)
    if name := name_of_reached(sweep, record):
        more = "null" if name == "target" else f"{2 * getattr(sweep.limits, name):g}"
        change = f"echo 'limits: {{{name}: {more}}}' > more.yaml"
        return f"to extend it, change limits.{name}: {change} && {command} --changes more.yaml"
    if is_exhausted(sweep, record):
        return f"to extend it, widen the space: {command} --changes FILE, where FILE has another `space`"
    return f"to extend it: {command} --trials {2 * len(record.trials)}"


def is_exhausted(sweep: Sweep, record: Record) -> bool:
    """Every configuration of the space was tried, with all its repeats as far as they completed."""
    size = sweep.space.size
    if size is None or record.to_repeat(sweep.search.repeats):
        return False
    tried = {key(trial.config) for trial in record.trials.values() if sweep.space.contains(trial.config)}
    return len(tried) >= size
