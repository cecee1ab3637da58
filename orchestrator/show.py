"""A run's results as tables in the terminal."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from orchestrator.analysis import savings
from orchestrator.run_folder import Run

_MODEL_COLUMNS = {
    "id": "model",
    "status": "status",
    "test_accuracy": "test acc.",
    "val_accuracy": "val acc.",
    "macs": "MACs",
    "parameters": "params",
    "bytes": "bytes",
    "latency_1_median_ms": "ms, batch 1",
    "latency_32_median_ms": "ms, batch 32",
}


def show(run: Run, *, count: int = 10) -> None:
    """Prints the best trials, what ASHA saved, the models beside their parents, and where the files are."""
    console, sweep = Console(), run.sweep
    trials, models = run.trials(), run.models()
    if trials.empty:
        console.print(f"{run.folder}: no trial yet")
        return
    best = run.best(count)
    console.print(_table(f"best of {len(trials)} trials by {sweep.metric}", _trial_columns(best, sweep.metric)))
    if not best.empty:
        console.print(_table(f"best configuration: trial {best.iloc[0]['trial']}", _configuration(best.iloc[0])))
    saved = savings(trials, sweep.epochs)
    console.print(
        f"ASHA stopped {saved['stopped']:.0f} of {saved['trials']:.0f} trials: {saved['epochs_trained']:.0f} epochs "
        f"trained, {saved['epochs_saved']:.0f} saved ({saved['saved_share']:.0%})."
    )
    _print_failures(console, trials)
    if not models.empty:
        columns = [name for name in _MODEL_COLUMNS if name in models]
        console.print(_table("models", models[columns].rename(columns=_MODEL_COLUMNS)))
        for row in models[models["status"] != "ok"].itertuples():
            console.print(f"model {row.id} is {row.status}: {row.reason}")
    console.print(f"files: {run.folder} (trials.parquet, epochs.parquet, models.parquet, models/, checkpoints/)")


def _print_failures(console: Console, trials: pd.DataFrame) -> None:
    failed = trials[trials["status"] == "failed"]
    for error, group in failed.groupby("error", sort=False):
        console.print(f"failed: {len(group)} trials ({', '.join(group['trial'].head(5))}): {error}", markup=False)


def _trial_columns(best: pd.DataFrame, metric: str) -> pd.DataFrame:
    return best[["trial", "status", metric, "best_epoch", "epochs", "seconds"]]


def _configuration(trial: pd.Series) -> pd.DataFrame:
    config = {name.removeprefix("config."): trial[name] for name in trial.index if name.startswith("config.")}
    return pd.DataFrame({"parameter": config.keys(), "value": config.values()}).dropna()


def _table(title: str, frame: pd.DataFrame) -> Table:
    table = Table(title=title, title_justify="left")
    for name in frame.columns:
        table.add_column(str(name), justify="right" if pd.api.types.is_numeric_dtype(frame[name]) else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        if value != value:
            return "-"
        return f"{value:,.0f}" if value == round(value) and abs(value) >= 10 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
