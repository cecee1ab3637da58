"""What models say and how fast they are, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from trainables.compress import Latency, Prediction


def print_predictions(predictions: Iterable[Prediction], *, as_json: bool) -> None:
    """Prints a line an input, with tabs between what it is called, its class and the probability of that, or its value;
    or all of them as a JSON list."""
    if as_json:
        print(json.dumps([_facts(one) for one in predictions], indent=2))
        return
    for one in predictions:
        said = f"{one.value:.6g}" if one.value is not None else f"{one.label}\t{one.probability:.1%}"
        print(f"{one.source}\t{said}")


def print_latencies(rows: list[Latency], *, as_json: bool) -> None:
    """Prints a row a model and batch size, with how many times faster it is than the first model."""
    first = {row.batch: row.median_ms for row in reversed(rows)}
    if as_json:
        print(json.dumps([{**asdict(row), "faster": first[row.batch] / row.median_ms} for row in rows], indent=2))
        return
    wide = max(5, *(len(row.path) for row in rows))
    print(f"{'model':<{wide}}  {'batch':>5}  {'median ms':>9}  {'p10 to p90':>17}  {'faster':>7}")
    for row in rows:
        spread, faster = f"{row.p10_ms:.3f} to {row.p90_ms:.3f}", f"{first[row.batch] / row.median_ms:.2f}x"
        print(f"{row.path:<{wide}}  {row.batch:>5}  {row.median_ms:>9.3f}  {spread:>17}  {faster:>7}")


def _facts(prediction: Prediction) -> dict[str, Any]:
    """Without what does not apply."""
    return {key: value for key, value in asdict(prediction).items() if value not in (None, {})}
