"""What a run's tables say: DataFrame to DataFrame, no files, no Ray."""

from __future__ import annotations

import pandas as pd


def best(trials: pd.DataFrame, metric: str, mode: str, count: int = 1) -> pd.DataFrame:
    """The best trials, best first; failed ones and those without an epoch are left out."""
    scored = trials[(trials["status"] != "failed") & trials[metric].notna()]
    return scored.sort_values(metric, ascending=mode == "min", kind="stable").head(count)


def savings(trials: pd.DataFrame, max_epochs: int) -> pd.Series:
    """What early stopping saved: trials stopped, epochs trained, epochs that the stopped trials did not train.

    A trial that ended by its own patience counts as trained in full: ASHA did not save that.
    """
    stopped = trials[trials["status"] == "stopped"]
    saved = int((max_epochs - stopped["epochs"]).sum())
    trained = int(trials["epochs"].sum())
    return pd.Series(
        {
            "trials": len(trials),
            "stopped": len(stopped),
            "epochs_trained": trained,
            "epochs_saved": saved,
            "saved_share": saved / max(1, saved + trained),
        }
    )


def beside_parents(models: pd.DataFrame) -> pd.DataFrame:
    """Models in families, each parent first and its children by falling size.

    Adds faster_1 and faster_32: the parent's median latency over the model's, at those batch sizes, where measured.
    """
    families = models["parent"].map({name: place for place, name in enumerate(models["parent"].unique())})
    order = pd.DataFrame({"family": families, "keep": -models["keep_macs"]})
    models = models.loc[order.sort_values(["family", "keep"], kind="stable").index]
    parents = models[models["kind"] == "dense"].set_index("parent")
    for batch in (1, 32):
        column = f"latency_{batch}_median_ms"
        if column in models:
            models[f"faster_{batch}"] = models["parent"].map(parents[column]) / models[column]
    return models
