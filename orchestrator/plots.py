"""Plots of what tables say, as matplotlib figures and as files."""

from __future__ import annotations

import os
from contextlib import suppress
from io import BytesIO

import pandas as pd

from orchestrator.analysis import front
from orchestrator.picking import LATENCY, with_scores
from trainables.data.cache import private_folder
from trainables.storage import Place, write_bytes

# Where matplotlib keeps its list of fonts; by default it is in the home folder.
with suppress(OSError):
    os.environ.setdefault("MPLCONFIGDIR", str(private_folder() / "matplotlib"))

from matplotlib.figure import Figure

_MARKS = {"dense": "s", "int8": "^"}
"""Students have another."""


def plot_front(models: pd.DataFrame) -> Figure:
    """Accuracy (or R²) on validation against latency at batch 1, a mark a model, and a line through the front."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    shown = with_scores(models)
    kinds = shown["kind"].where(shown["kind"].isin(list(_MARKS)), "student")
    for kind, group in shown.groupby(kinds):
        axes.scatter(group[LATENCY], group["score"], marker=_MARKS.get(str(kind), "o"), label=str(kind))
    best = front(models)
    axes.plot(best[LATENCY], best["score"], color="grey", linewidth=1, zorder=0, label="front")
    for row in best.itertuples():
        place = (getattr(row, LATENCY), row.score)
        axes.annotate(str(row.id), place, fontsize=7, xytext=(4, 4), textcoords="offset points")
    axes.set(xscale="log", xlabel="milliseconds at batch 1, one thread", ylabel="score on validation examples")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return figure


def save_plot(figure: Figure, place: Place) -> None:
    """Writes a PNG, whole or not at all."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_bytes(place, buffer.getbuffer())
