"""How far simulated searches were from the best that there is, over time: outcomes to tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import fmean, median, pstdev

import pandas as pd

from orchestrator.errors import SweepError
from orchestrator.simulation.curves import Curves
from orchestrator.simulation.outcome import Outcome
from trainables.storage import write_bytes

Outcomes = Mapping[str, Sequence[Outcome]]
"""Of each method, those of all its seeds."""
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the shortest method's time: the moments at which methods are compared."""
RELATIVE = (0.2, 0.1, 0.05, 0.02)
"""Regrets, in units of `Curves.scale`, to which the time is told."""


def improvements(outcomes: Outcomes, curves: Curves) -> pd.DataFrame:
    """A row whenever a search found something better, and one at its end.

    Columns: method, seed, seconds, the metric's best value so far, regret, relative_regret (in units of the curves'
    scale; the regret itself where that is 0).
    """
    rows = [
        {
            "method": method,
            "seed": seed,
            "seconds": second,
            curves.metric: curves.sign * loss,
            "regret": loss - curves.best,
        }
        for method, of_method in outcomes.items()
        for seed, outcome in enumerate(of_method)
        for second, loss in (*outcome.improvements, (outcome.seconds, outcome.loss_at(outcome.seconds)))
    ]
    table = pd.DataFrame(rows)
    return table.assign(relative_regret=table["regret"] / curves.scale if curves.scale else table["regret"])


def check_name(path: Path | None) -> None:
    """Raises SweepError for a file that `save` could not write, before there is something to save."""
    if path and path.suffix not in (".parquet", ".csv", ".json"):
        raise SweepError(f"--out: must end in .parquet, .csv or .json, but got {str(path)!r}")
    if path and not path.parent.is_dir():
        raise SweepError(f"--out: must be in a folder that exists, but got {str(path)!r}")


def save(table: pd.DataFrame, path: Path) -> None:
    """Writes the file, whole or not at all, in the form that its name ends in."""
    buffer = BytesIO()
    if path.suffix == ".parquet":
        table.to_parquet(buffer, index=False)
    elif path.suffix == ".csv":
        table.to_csv(buffer, index=False)
    else:
        table.to_json(buffer, orient="records", indent=1)
    write_bytes(path, buffer.getvalue())


def over_time(outcomes: Outcomes, curves: Curves) -> pd.DataFrame:
    """A row a method: mean and standard deviation over seeds of its regret at some moments."""
    last = min(fmean(outcome.seconds for outcome in of_method) for of_method in outcomes.values())
    moments = [share * last for share in SHARES]
    rows = [
        {"method": method, **{f"{second:.4g} s": _spread(of_method, curves, second) for second in moments}}
        for method, of_method in outcomes.items()
    ]
    return pd.DataFrame(rows)


def times(outcomes: Outcomes, curves: Curves) -> pd.DataFrame:
    """A row a method: the median over seeds of the seconds to some relative regrets, and what the searches took."""
    return pd.DataFrame([{"method": method, **_times(of_method, curves)} for method, of_method in outcomes.items()])


def _spread(outcomes: Sequence[Outcome], curves: Curves, second: float) -> str:
    regrets = [outcome.loss_at(second) - curves.best for outcome in outcomes]
    return f"{fmean(regrets):.3g} ± {pstdev(regrets):.2g}" if max(regrets) < math.inf else "-"


def _times(outcomes: Sequence[Outcome], curves: Curves) -> dict[str, str]:
    row = {}
    for share in RELATIVE:
        seconds = [outcome.seconds_to(curves.best + share * curves.scale) for outcome in outcomes]
        reached = sum(second < math.inf for second in seconds)
        typical = f"{median(seconds):.4g} s" if median(seconds) < math.inf else "-"
        row[f"to {share:g}"] = typical if reached == len(seconds) else f"{typical} ({reached} of {len(seconds)})"
    row["epochs"] = f"{fmean(sum(len(t.epochs) for t in outcome.record.trials.values()) for outcome in outcomes):.0f}"
    row["a proposal"] = f"{_proposal(outcomes) * 1000:.3g} ms"
    return row


def _proposal(outcomes: Sequence[Outcome]) -> float:
    """Real seconds."""
    trials = sum(len(outcome.record.trials) for outcome in outcomes)
    return sum(outcome.record.time.proposals for outcome in outcomes) / max(trials, 1)
