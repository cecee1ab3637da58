"""What earlier runs have shown, as prior observations in the space of a new one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from orchestrator.columns import PREFIX, configurations, is_off, read_table, value_columns
from orchestrator.errors import SweepError
from orchestrator.layout import SWEEP, TRIALS
from orchestrator.record import Record
from orchestrator.repeats import average
from orchestrator.run_folder import open_run
from orchestrator.searchers import Observation
from orchestrator.sweep import Sweep
from orchestrator.tables import value_of
from search_spaces import Config, Domain, Space, SpaceError, nearest
from trainables.loop import column

Tell = Callable[[str], None]


def earlier_observations(places: Sequence[str], sweep: Sweep, tell: Tell = lambda line: None) -> list[Observation]:
    """The trials of earlier runs that fit the sweep's space, with their losses by the sweep's metric.

    A parameter that the space does not have is dropped; one that an earlier run did not vary has the value that this
    run fixed. Trials that do not fit are left out and counted.

    Args:
        places: run folders, or `trials.parquet` files, of which an `epochs.parquet` beside gives the curves.
        tell: takes a line on each place.

    Raises:
        SweepError: a place cannot be read, lacks the metric, or has no trial that fits.
    """
    found: list[Observation] = []
    for place in places:
        where = f"search.warm_start: {place}"
        try:
            shown = list(_of_run(place, sweep) if Path(place, SWEEP).is_file() else _of_table(place, sweep))
        except FileNotFoundError:
            rule = "must be the folder of a run or a table of trials in Parquet"
            raise SweepError(f"{where}: {rule}, but there is none") from None
        except (SweepError, OSError, pa.ArrowException) as error:
            raise SweepError(f"{where}: {error}") from None
        fitting = _fitting(where, shown, sweep.space)
        tell(f"learned from {len(fitting)} of {len(shown)} configurations of {place}")
        found += fitting
    return found


def _fitting(where: str, shown: Sequence[Observation], space: Space) -> list[Observation]:
    """Those in the space, in its terms, as prior ones."""
    fitting, misfit = [], "it has none that has reported"
    for one in shown:
        try:
            config = translated(space, one.config)
            # Complete by the earlier run's epochs, which may be fewer.
            fitting.append(replace(one, config=config, prior=True, complete=False))
        except SpaceError as error:
            misfit = str(error)
    if not fitting:
        rule = "must hold trials that fit the space and the metric"
        raise SweepError(f"{where}: {rule}, but none of {len(shown)} does: {misfit}")
    return fitting


def _of_run(place: str, sweep: Sweep) -> Iterator[Observation]:
    """From a run's journal; the configurations with all that the run fixed."""
    run, record = open_run(place), Record(sweep.metric, sweep.sign)
    record.replay(run.events())
    fixed = fixed_values(run.sweep)
    for shown in record.observations():
        if not shown.prior:
            yield replace(shown, config={**fixed, **shown.config})


def translated(space: Space, values: Config) -> Config:
    """The values as a configuration of the space: those of its parameters that are switched on. Raises SpaceError."""
    config = _config(space, values)
    space.validate(config)
    return config


def fixed_values(sweep: Sweep) -> Config:
    """All that a run's trials have alike, by the names that a space has for it."""
    if sweep.trains_students:
        return {}
    if sweep.has_own_loop:
        return dict(sweep.loop_config({}).arguments)
    return _flat(sweep.train_config({}).model_dump())


def _of_table(place: str, sweep: Sweep) -> Iterator[Observation]:
    """From `trials.parquet` or a table of its kind: the metric, `config.*`, and as far as there are trial, status,
    epochs and seconds. The rows of one configuration are its repeats, and one observation."""
    path = Path(place, TRIALS) if Path(place).is_dir() else Path(place)
    trials = read_table(path)
    names = value_columns(trials)
    metric = column(sweep.metric)
    if metric not in trials or not names:
        hint = nearest(metric, trials.columns)
        rule = f"must have the columns {metric} and config.*"
        raise SweepError(f"{rule}, but got {', '.join(map(str, trials.columns))}" + (hint and f";{hint}"))
    curves = _curves(path.with_name("epochs.parquet"), sweep)
    repeats: dict[int, list[Observation]] = {}
    for row, number in zip(trials.to_dict("records"), configurations(trials), strict=True):
        if row.get("status") not in ("pending", "running", "interrupted") or not pd.isna(row[metric]):
            config = {name.removeprefix(PREFIX): row[name] for name in names}
            one = _observation(row, config, curves.get(row.get("trial"), ()), sweep)
            repeats.setdefault(number, []).append(one)
    yield from map(average, repeats.values())


def _observation(row: Mapping[Any, Any], config: Config, curve: tuple[float, ...], sweep: Sweep) -> Observation:
    loss = min(curve, default=sweep.sign * float(row[column(sweep.metric)]))
    return Observation(
        config=config,
        loss=math.nan if row.get("status") == "failed" else loss,
        budget=len(curve) or _count(row.get("epochs")),
        cost=float(row.get("seconds", 0.0)),
        curve=curve,
        complete=row.get("status", "completed") == "completed",
    )


def _count(value: object) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def _curves(path: Path, sweep: Sweep) -> dict[Any, tuple[float, ...]]:
    """The losses of each trial, epoch by epoch, where there is such a table."""
    if not path.is_file():
        return {}
    epochs, metric = read_table(path), column(sweep.metric)
    if not {"trial", "epoch", metric} <= set(epochs):
        return {}
    ordered = epochs.sort_values("epoch", kind="stable")
    return {trial: tuple((sweep.sign * losses).tolist()) for trial, losses in ordered.groupby("trial")[metric]}


def _config(space: Space, values: Config) -> Config:
    """What of the values the space has a parameter for that is switched on."""
    known = {name: _plain(domain, values[name]) for name, domain in space.domains.items() if name in values}
    return space.active({name: value for name, value in known.items() if not _is_absent(space.domains[name], value)})


def _is_absent(domain: Domain, value: object) -> bool:
    return value is None and not domain.contains(None)


def _plain(domain: Domain, value: Any) -> Any:
    """The value before a table's column made a float, a text or NaN of it."""
    return None if is_off(value) else value_of(domain, value)


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Config:
    """Dotted names of all parts: of {"optimizer": {"lr": 0.1}} optimizer and optimizer.lr, as a mapping is a value."""
    flat: Config = {}
    for name, value in nested.items():
        flat[f"{prefix}{name}"] = value
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {}
    return flat
