"""The record as three tables, in memory for pandas and on disk as Parquet."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.record import Record, Trial
from trainables import metric_names


def trials_table(record: Record) -> pd.DataFrame:
    """A row a trial, in the order of proposal.

    Columns: trial, status, the metrics of its best epoch, best_epoch, epochs, seconds (of training), node,
    error, proposed, started, ended (UTC), checkpoint, and `config.*`, empty where a condition switched a parameter off.
    """
    return _frame([_trial_row(record, trial) for trial in record.trials.values()])


def epochs_table(record: Record) -> pd.DataFrame:
    """A row a trial and epoch, with every metric."""
    return _frame([{"trial": trial.id, **epoch} for trial in record.trials.values() for epoch in trial.epochs])


def models_table(record: Record) -> pd.DataFrame:
    """A row a model of the post-stage: where it came from and what was measured of it."""
    return _frame(list(record.models.values()))


def write_tables(record: Record, folder: Path) -> None:
    """Writes the three Parquet files, each whole or not at all."""
    tables = {"trials": trials_table, "epochs": epochs_table, "models": models_table}
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(pa.Table.from_pandas(table(record), preserve_index=False), temporary)
        temporary.replace(path)


def _trial_row(record: Record, trial: Trial) -> dict[str, Any]:
    best = trial.best_epoch(record.metric, record.sign) or {}
    return {
        "trial": trial.id,
        "status": trial.status,
        **{name: best.get(name, math.nan) for name in metric_names()},
        "best_epoch": best.get("epoch", 0),
        "epochs": len(trial.epochs),
        "seconds": trial.seconds,
        "node": trial.node,
        "error": trial.error,
        **{name: _moment(getattr(trial, name)) for name in ("proposed", "started", "ended")},
        "checkpoint": f"checkpoints/{trial.id}/last.pt" if trial.epochs else "",
        **{f"config.{name}": value for name, value in trial.config.items()},
    }


def _moment(seconds: float) -> pd.Timestamp | None:
    return None if math.isnan(seconds) else pd.Timestamp(seconds, unit="s", tz="UTC")


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Columns whose values are of several kinds become text: Parquet has one kind a column."""
    frame = pd.DataFrame(rows)
    for name in frame.columns:
        kinds = {type(value) for value in frame[name].dropna()}
        if len(kinds) > 1 and not kinds <= {int, float}:
            frame[name] = frame[name].map(str, na_action="ignore")
    return frame
