"""Which of the models a user's bounds pick: from the table of models alone, on validation examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

LATENCY = "latency_1_median_ms"
_LEAST_POINTS = 0.1
"""In terms of which a miss is measured where a bound on the drop is smaller, such as 0."""


@dataclass(frozen=True)
class Pick:
    """The model that meets the bounds best, or else the one that comes closest.

    drop: points of accuracy below the best parent on validation, negative above it; hundredths of R² for values.
    """

    model: str
    meets: bool
    drop: float
    latency_ms: float
    bytes: int

    def told(self, bounds: Mapping[str, float]) -> str:
        """In words."""
        asked = ", ".join(f"{name} {bound:g}" for name, bound in bounds.items())
        side = "above" if self.drop < 0 else "below"
        far = f"{abs(self.drop):.2f} points {side} the best parent"
        has = f"{self.model}: {far}, {self.latency_ms:.3g} ms, {self.bytes} bytes"
        return f"{asked}: picked {has}" if self.meets else f"{asked}: no model meets this; the closest is {has}"


def pick(models: pd.DataFrame, bounds: Mapping[str, float]) -> Pick | None:
    """Of the accepted models that meet all bounds, the fastest where accuracy is bounded, else the most accurate.

    Where none does, the one with the smallest sum of what it has too much, relative to each bound. None without bounds,
    or without an accepted model that was timed.

    Args:
        models: as `orchestrator.tables.models_table` makes it.
        bounds: of max_accuracy_drop (points), max_latency_ms (batch 1) and max_bytes.
    """
    accepted = with_scores(models)
    if not bounds or accepted.empty:
        return None
    parents = accepted.loc[accepted["kind"] == "dense", "score"]
    best = parents.max() if len(parents) else accepted["score"].max()
    has = pd.DataFrame(
        {
            "max_accuracy_drop": 100 * (best - accepted["score"]),
            "max_latency_ms": accepted[LATENCY],
            "max_bytes": accepted["bytes"],
        }
    )
    limits = pd.Series(bounds, dtype=float)
    excess = ((has[limits.index] - limits) / limits.clip(lower=_LEAST_POINTS)).clip(lower=0).sum(axis=1)
    by = [LATENCY, "bytes"] if "max_accuracy_drop" in bounds else ["loss", LATENCY]
    order = accepted.assign(excess=excess.round(9), loss=-accepted["score"]).sort_values(["excess", *by], kind="stable")
    row = order.iloc[0]
    drop = 100 * (best - row["score"])
    return Pick(str(row["id"]), bool(row["excess"] == 0), float(drop), float(row[LATENCY]), int(row["bytes"]))


def with_scores(models: pd.DataFrame) -> pd.DataFrame:
    """The accepted models that were timed, with `score`: accuracy or R² on validation examples."""
    timed = models if LATENCY in models else models.assign(**{LATENCY: math.nan})
    accepted = timed[(timed["status"] == "ok") & timed[LATENCY].notna()]
    return accepted.assign(score=accepted["val_accuracy"].fillna(accepted["val_r2"]).astype(float))
