"""What a run's tables say: DataFrame to DataFrame, no files, no Ray."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from orchestrator import columns
from orchestrator.pareto import ranks
from orchestrator.picking import LATENCY, with_scores
from orchestrator.record import Record
from search_spaces import Config
from trainables.loop import column
from trainables.worker import TIMED


def best(trials: pd.DataFrame, metric: str, mode: str, count: int = 1) -> pd.DataFrame:
    """The best trials, best first; failed ones and those without an epoch are left out."""
    name = column(metric)
    scored = trials[(trials["status"] != "failed") & trials[name].notna()]
    return scored.sort_values(name, ascending=mode == "min", kind="stable").head(count)


def configurations(trials: pd.DataFrame, metric: str, mode: str) -> pd.DataFrame:
    """A row a configuration, the best mean first: `mean`, `std` (NaN of one) and `repeats` over its completed trials.

    Trials that were stopped or failed do not count: they say nothing of the full budget. `trial` is the first counted.
    """
    values = column(metric)
    completed = trials[(trials["status"] == "completed") & trials[values].notna()]
    numbers = columns.configurations(completed)
    figures = completed.groupby(numbers, sort=False)[values].agg(["mean", "std", "count"])
    first = completed[~numbers.duplicated()].reset_index(drop=True)
    table = first[["trial"]].assign(mean=figures["mean"], std=figures["std"], repeats=figures["count"])
    table = pd.concat([table, first[columns.value_columns(first)]], axis=1)
    return table.sort_values("mean", ascending=mode == "min", kind="stable", ignore_index=True)


def savings(record: Record, epochs_of: Callable[[Config], int]) -> pd.Series:
    """The epochs that ASHA saved: those that the trials it stopped did not train of their own number of epochs.

    Trials that a limit stopped, or that ended by their own patience, count for none.

    Args:
        epochs_of: the epochs of a trial of that configuration, if nothing stops it.
    """
    trials = list(record.trials.values())
    stopped = [trial for trial in trials if trial.stopped_by == "asha"]
    saved = sum(max(0, epochs_of(trial.config) - len(trial.epochs)) for trial in stopped)
    return pd.Series(
        {
            "trials": len(trials),
            "stopped": len(stopped),
            "limited": sum(trial.stopped_by == "limit" for trial in trials),
            "epochs_trained": record.epochs_trained,
            "epochs_saved": saved,
            "saved_share": saved / max(1, saved + record.epochs_trained),
        }
    )


def efficiency(record: Record) -> pd.Series:
    """Where the workers' time went, as shares of it; they add up to 1, and none is negative.

    train and evaluate: the epochs. start: from a proposal to a process that is ready. data, build, checkpoint: loading
    the data, making model and optimiser, writing checkpoints. propose: finding configurations. wait: all else, such as
    slots that were free at the end, results on their way, a driver that was busy, or epochs that an interruption lost.
    """
    names = dict.fromkeys([*TIMED, *record.time.phases, "start", "propose"])
    shares = pd.Series({name: record.time.phases.get(name, 0.0) for name in names}) / (record.time.workers or 1.0)
    shares["wait"] = max(0.0, 1 - shares.sum())
    return shares


def beside_parents(models: pd.DataFrame) -> pd.DataFrame:
    """Models in families, each parent first and its children by falling size, each followed by its int8 model.

    Adds faster_1 and faster_32: the parent's median latency over the model's, at those batch sizes, where measured.
    """
    families = models["parent"].map({name: place for place, name in enumerate(models["parent"].unique())})
    sources = models["source"].where(models["kind"] == "int8", models["id"])
    macs = -sources.map(models.set_index("id")["macs"]).astype(float)
    order = pd.DataFrame({"family": families, "macs": macs, "source": sources, "int8": models["kind"] == "int8"})
    models = models.loc[order.sort_values(["family", "macs", "source", "int8"], kind="stable").index]
    parents = models[models["kind"] == "dense"].set_index("parent")
    for batch in (1, 32):
        column = f"latency_{batch}_median_ms"
        if column in models:
            models[f"faster_{batch}"] = models["parent"].map(parents[column]) / models[column]
    return models


def front(models: pd.DataFrame) -> pd.DataFrame:
    """The accepted models that no other beats in accuracy on validation and in latency at batch 1, fastest first."""
    accepted = with_scores(models)
    points = list(zip(-accepted["score"], accepted[LATENCY], strict=True))
    return accepted.iloc[[place for place, rank in enumerate(ranks(points)) if rank == 0]].sort_values(
        LATENCY, kind="stable"
    )


def beside_controls(models: pd.DataFrame) -> pd.DataFrame:
    """A row a student that has a control: `test` and `control`, the scores on test examples, and `gain`, in points.

    A control is the same student, trained for as long without a teacher.
    """
    students = models[models["control_test"].notna() & (models["kind"] != "int8")]
    test = students["test_accuracy"].fillna(students["test_r2"]).astype(float)
    table = pd.DataFrame({"model": students["id"], "loss": students["loss"], "test": test})
    control = students["control_test"].astype(float)
    return table.assign(control=control, gain=100 * (test - control)).dropna().reset_index(drop=True)
