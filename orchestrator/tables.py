"""The record as three tables, in memory for pandas and on disk as Parquet."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from typing import Any

import pandas as pd

from orchestrator.columns import OFF, PREFIX, parquet_bytes, value_column
from orchestrator.events import Epoch
from orchestrator.layout import CHECKPOINTS
from orchestrator.record import Record, Trial
from search_spaces import Choice, Domain, Grid, as_python
from trainables import metric_names
from trainables.compress import CompressedModel
from trainables.loop import column
from trainables.storage import Place, join, list_files, write_bytes
from trainables.worker import CHECKPOINT

BEFORE = ("trial", "repeat", "status")
AFTER = (
    "best_epoch",
    "epochs",
    "seconds",
    "node",
    "faults",
    "error",
    "proposed",
    "started",
    "ended",
    "checkpoint",
)
"""The columns of a trial round those of its metrics, which a loop of the user's own names."""

"""The folder of a run in which each trial may have one."""
_BITS = 63
"""Of the whole numbers that a column holds."""


def trials_table(record: Record, folder: Place | None = None) -> pd.DataFrame:
    """A row a trial, in the order of proposal.

    Args:
        folder: of the run, where checkpoints are looked for; without it no row names one.

    Columns: trial, repeat (of its configuration, from 0), status, the metrics of its best epoch, best_epoch, epochs,
    seconds (of training), node, faults (attempts that were tried again), error, proposed, started, ended (UTC),
    checkpoint (null where there is none any more), and `config.*`: the values as they are, in pandas' own type where a
    column has one alone; NaN (or NA) where a condition switched a parameter off, and None for null. A metric with the
    name of another column has the column `metric.NAME`.
    """
    metrics = _metrics(record)
    kept = set(list_files(join(folder, CHECKPOINTS))) if folder is not None else set()
    rows = [_trial_row(record, trial, metrics, kept) for trial in record.trials.values()]
    table = _frame(rows, (*BEFORE, *metrics, *AFTER), metrics)
    configs = [trial.config for trial in record.trials.values()]
    names = dict.fromkeys(name for config in configs for name in config)
    values = {f"{PREFIX}{name}": value_column([config.get(name, OFF) for config in configs]) for name in names}
    return pd.concat([table, pd.DataFrame(values)], axis=1) if values else table


def epochs_table(record: Record) -> pd.DataFrame:
    """A row a trial and epoch: every metric, of students their cost, seconds, and in `time.*` those of each phase."""
    rows = [_epoch_row(trial, epoch) for trial in record.trials.values() for epoch in trial.epochs]
    metrics = _metrics(record)
    return _frame(rows, ("trial", "epoch", *metrics, "seconds"), metrics)


def models_table(record: Record) -> pd.DataFrame:
    """A row a model of the post-stage: where it came from and what was measured of it."""
    return _frame(list(record.models.values()), [field.name for field in fields(CompressedModel)])


def write_tables(record: Record, folder: Place, check: Callable[[], None] = lambda: None) -> None:
    """Writes the three Parquet files, each whole or not at all.

    check: called before each; raises if the run is no longer this process's.
    """
    tables = {"trials": trials_table(record, folder), "epochs": epochs_table(record), "models": models_table(record)}
    for name, table in tables.items():
        data = parquet_bytes(table)
        check()
        write_bytes(join(folder, f"{name}.parquet"), data)


def value_of(domain: Domain, told: Any) -> Any:
    """The value of a domain that a table tells, in which whole numbers may be floats and mixed options text."""
    cell = as_python(told)
    if isinstance(cell, float) and cell.is_integer() and not domain.contains(cell):
        cell = int(cell)
    if domain.contains(cell):
        return domain.member(cell)
    if isinstance(cell, str) and isinstance(domain, Choice | Grid):
        return next((option for option in domain.values() if str(option) == cell), cell)
    return cell


def _metrics(record: Record) -> list[str]:
    """The columns of every metric that any epoch has, the record's own first, and of what students cost."""
    epochs = [epoch for trial in record.trials.values() for epoch in trial.epochs]
    told = dict.fromkeys(name for epoch in epochs for name in epoch.metrics)
    ours = [name for name in metric_names() if name in told or not told]
    costs = [name for epoch in epochs for name in epoch.cost]
    return list(dict.fromkeys([*map(column, [*ours, record.metric, *told]), *costs]))


def _figures(epoch: Epoch) -> dict[str, Any]:
    return {**{column(name): value for name, value in epoch.metrics.items()}, **epoch.cost}


def _epoch_row(trial: Trial, epoch: Epoch) -> dict[str, Any]:
    timing = {f"time.{name}": seconds for name, seconds in epoch.timing.items()}
    return {"trial": trial.id, "epoch": epoch.number, **_figures(epoch), "seconds": epoch.seconds, **timing}


def _trial_row(record: Record, trial: Trial, metrics: Iterable[str], kept: Collection[str]) -> dict[str, Any]:
    checkpoint = f"{trial.id}/{CHECKPOINT}"
    best = trial.best_epoch(record.metric, record.sign)
    figures = _figures(best) if best else {}
    return {
        "trial": trial.id,
        "repeat": trial.repeat,
        "status": trial.status,
        **{name: figures.get(name, math.nan) for name in metrics},
        "best_epoch": best.number if best else 0,
        "epochs": len(trial.epochs),
        "seconds": trial.seconds,
        "node": trial.node,
        "faults": len(trial.faults),
        "error": trial.error,
        **{name: _moment(getattr(trial, name)) for name in ("proposed", "started", "ended")},
        "checkpoint": f"{CHECKPOINTS}/{checkpoint}" if checkpoint in kept else None,
    }


def _moment(seconds: float) -> pd.Timestamp | None:
    """In whole milliseconds, as the journal has it."""
    return None if math.isnan(seconds) else pd.Timestamp(round(1000 * seconds), unit="ms", tz="UTC")


def _frame(rows: list[dict[str, Any]], columns: Iterable[str], numbers: Collection[str] = ()) -> pd.DataFrame:
    """The rows under the columns that are always there, and their own.

    Parquet has one kind of value a column: where there are several, `numbers` become floats and others text.
    """
    names = dict.fromkeys([*columns, *(name for row in rows for name in row)])
    frame = pd.DataFrame(rows, columns=list(names))
    for name in [name for name in frame if frame[name].dtype == "object"]:
        if name in numbers:
            frame[name] = frame[name].astype(float)
        elif not _fits_one_column(frame[name].dropna()):
            frame[name] = frame[name].map(str, na_action="ignore")
    return frame


def _fits_one_column(values: pd.Series[Any]) -> bool:
    kinds = {type(value) for value in values}
    wide = any(isinstance(value, int) and value.bit_length() > _BITS for value in values)
    return not wide and (len(kinds) <= 1 or kinds <= {int, float})
