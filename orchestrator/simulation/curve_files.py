"""Recorded curves from a run's folder or from a table in Parquet or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.columns import PREFIX, configurations, is_off, read_table, value_columns
from orchestrator.errors import SweepError
from orchestrator.run_folder import Run, open_run
from orchestrator.simulation.curves import Curve, Curves
from orchestrator.tables import value_of
from search_spaces import (
    Choice,
    Config,
    Domain,
    Grid,
    Int,
    LogInt,
    LogUniform,
    Space,
    Uniform,
    as_python,
    hashable,
    nearest,
    shorten,
)
from trainables import METRIC_MODES, metric_names

_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {".parquet": read_table, ".csv": pd.read_csv}
_FEW = 8
"""So many different numbers or fewer are a list to choose from, more are a range."""
_WIDE = 100
"""A range of positive numbers whose ends are so many times apart is a logarithmic one."""


def load_curves(
    path: str | Path, *, space: Space | None = None, metric: str | None = None, mode: str | None = None
) -> Curves:
    """The curves of a run, or of a table with the columns `config.*`, `epoch`, `seconds` (of the epoch) and a metric.

    A table's rows belong together by its column `trial`, or else by their configuration. A metric that is empty in
    the last row of a trial says that the trial failed in that epoch.

    Args:
        space: instead of the run's own or the one that the table's columns span; curves outside it are left out.
        metric: instead of the run's own or the only one of the table.
        mode: `max` or `min`: which of the metric's values are better. A run knows that of its own metric, and those of
            halving's own training are known; any other must be given.

    Raises:
        SweepError: it is neither a run nor such a table, or no curve is left.
    """
    place = Path(path)
    if place.is_dir():
        run = open_run(place)
        metric = _metric_of(run, metric)
        sign = _sign(metric, mode, run.sweep.mode if metric == run.sweep.metric else METRIC_MODES.get(metric))
        return _checked(place, space or run.sweep.space, metric, sign, list(_of_run(run, metric, sign)))
    table = _read(place)
    metric = metric or _only_metric(place, table)
    _check_columns(place, table, metric)
    sign = _sign(metric, mode, METRIC_MODES.get(metric))
    curves = [_of_rows(f"{place}: trial {name}", rows, metric, sign) for name, rows in _trials(table)]
    return _checked(place, space or _spanned(place, [curve.config for curve in curves]), metric, sign, curves)


def _checked(place: Path, space: Space, metric: str, sign: float, curves: Sequence[Curve]) -> Curves:
    inside = [replace(curve, config=config) for curve in curves if (config := _fitted(curve.config, space)) is not None]
    if curves and not inside:
        rule = f"configurations must be in the space, but none of {len(curves)} is"
        raise SweepError(f"{place}: {rule}; the first: {shorten(curves[0].config)}")
    if not any(curve.losses and curve.status != "failed" for curve in inside):
        raise SweepError(f"{place}: must hold the curve of a trial that did not fail, but holds none")
    return Curves(space, metric, sign, inside)


def _sign(metric: str, mode: str | None, known: str | None) -> float:
    """The factor that turns the metric into a loss; `known` is its direction as far as the run or halving knows it."""
    if mode is None and known is None:
        raise SweepError(f"--mode: must say whether max or min is better for {metric!r}, but is not given")
    if mode not in ("max", "min", None) or (known and mode not in (known, None)):
        rule = f"must be {known}, which is better for {metric!r}" if known else "must be max or min"
        raise SweepError(f"--mode: {rule}, but got {mode!r}")
    return -1.0 if (mode or known) == "max" else 1.0


def _metric_of(run: Run, wanted: str | None) -> str:
    """The metric that is wanted, or the run's own. Raises SweepError if the run does not have it."""
    metric = wanted or run.sweep.metric
    known = (run.sweep.metric,) if run.sweep.has_own_loop else metric_names()
    if metric not in known:
        raise _unknown_metric(metric, known)
    return metric


def _of_run(run: Run, metric: str, sign: float) -> Iterator[Curve]:
    """What the journal knows of every trial; one that is not over is as one that was stopped."""
    for trial in run.record().trials.values():
        losses = tuple(sign * epoch.value(metric) for epoch in trial.epochs)
        seconds = tuple(epoch.seconds for epoch in trial.epochs)
        if trial.status == "completed" or trial.status == "failed":
            yield Curve(config=trial.config, losses=losses, seconds=seconds, status=trial.status)
        elif losses:
            yield Curve(config=trial.config, losses=losses, seconds=seconds, status="stopped")


def _read(place: Path) -> pd.DataFrame:
    if place.suffix not in _READERS:
        raise SweepError(f"{place}: must be the folder of a run, or a table whose name ends in .parquet or .csv")
    try:
        return _READERS[place.suffix](place)
    except (OSError, ValueError) as error:
        raise SweepError(f"{place}: cannot be read: {str(error).splitlines()[0]}") from None


def _only_metric(place: Path, table: pd.DataFrame) -> str:
    found = _metrics(table)
    if len(found) != 1:
        raise SweepError(f"{place}: --metric must name one of its columns {', '.join(found) or '(none is a metric)'}")
    return found[0]


def _metrics(table: pd.DataFrame) -> list[str]:
    """The columns of numbers that are not known to be something else."""
    others = {"trial", "epoch", "seconds", "status", "lr", "images_per_second"}
    names = [str(name) for name in table.select_dtypes("number").columns]
    return [name for name in names if name not in others and not name.startswith((PREFIX, "time."))]


def _check_columns(place: Path, table: pd.DataFrame, metric: str) -> None:
    if table.empty:
        raise SweepError(f"{place}: must have a row for every trial and epoch, but is empty")
    names = [str(name) for name in table.columns]
    if metric not in names:
        raise _unknown_metric(metric, _metrics(table))
    for name in ("epoch", "seconds"):
        if name not in names:
            raise SweepError(f"{place}: must have a column {name!r}, but has {shorten(names)}")
    for name in ("epoch", "seconds", metric):
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise SweepError(f"{place}: column {name!r} must hold numbers, but got {shorten(table[name].iloc[0])}")
    if not any(name.startswith(PREFIX) for name in names):
        raise SweepError(f"{place}: must have columns {PREFIX}*, one a parameter, but has {shorten(names)}")


def _trials(table: pd.DataFrame) -> Iterator[tuple[object, pd.DataFrame]]:
    """The rows of each trial, by epoch."""
    by = table["trial"] if "trial" in table else configurations(table) + 1
    for name, rows in table.groupby(by, sort=False, dropna=False):
        yield name, rows.sort_values("epoch")


def _of_rows(where: str, rows: pd.DataFrame, metric: str, sign: float) -> Curve:
    if rows["epoch"].tolist() != list(range(1, len(rows) + 1)):
        raise SweepError(
            f"{where}: epochs must be 1, 2, 3 and so on, each once, but got {shorten(rows['epoch'].tolist())}"
        )
    seconds, losses = rows["seconds"].astype(float).to_numpy(), sign * rows[metric].astype(float).to_numpy()
    if not (np.isfinite(seconds) & (seconds >= 0)).all():
        raise SweepError(f"{where}: seconds must be numbers from 0, but got {shorten(seconds.tolist())}")
    failed = not np.isfinite(losses[-1])
    losses = losses[: len(losses) - failed]
    if not np.isfinite(losses).all():
        raise SweepError(f"{where}: {metric} may be empty in the last epoch only, but got {shorten(losses.tolist())}")
    status: Any = "failed" if failed else rows["status"].iloc[0] if "status" in rows else "completed"
    if status not in ("completed", "stopped", "failed"):
        raise SweepError(f"{where}: status must be completed, stopped or failed, but got {shorten(status)}")
    return Curve(config=_config(rows), losses=tuple(losses.tolist()), seconds=tuple(seconds.tolist()), status=status)


def _config(rows: pd.DataFrame) -> Config:
    """As plain Python values; what is empty was switched off."""
    first = {name.removeprefix(PREFIX): rows[name].iloc[0] for name in value_columns(rows)}
    return {name: as_python(value) for name, value in first.items() if not is_off(value)}


def _fitted(config: Config, space: Space) -> Config | None:
    """The configuration with the values that the space has for what a table says; None if it is not in the space."""
    fitted = {name: value_of(space.domains[name], value) for name, value in config.items() if name in space.parameters}
    return fitted if len(fitted) == len(config) and space.contains(fitted) else None


def _spanned(place: Path, configs: Sequence[Config]) -> Space:
    """The space of which the configurations could be a sample."""
    names = dict.fromkeys(name for config in configs for name in config)
    for name in names:
        if any(name not in config for config in configs):
            rule = "must have a value in every row, unless --space names a space that says when it is switched off"
            raise SweepError(f"{place}: column '{PREFIX}{name}' {rule}")
    return Space({name: _domain([config[name] for config in configs]) for name in names})


def _domain(values: Iterable[Any]) -> Domain:
    different = list({hashable(value): value for value in values}.values())
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in different):
        return Choice(tuple(sorted(different, key=str)))
    low, high = min(different), max(different)
    if len(different) <= _FEW:
        return Grid(tuple(sorted(different)))
    wide = low > 0 and high / low >= _WIDE
    if all(isinstance(value, int) for value in different):
        return LogInt(low, high) if wide else Int(low, high)
    return LogUniform(low, high) if wide else Uniform(low, high)


def _unknown_metric(metric: str, known: Sequence[str]) -> SweepError:
    hint = nearest(metric, known)
    return SweepError(f"metric: must be one of {', '.join(known)}, but got {metric!r}" + (hint and f";{hint}"))
