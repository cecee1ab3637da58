"""A run's results as tables in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.analysis import beside_controls, beside_parents, configurations, efficiency, front, savings
from orchestrator.analysis import best as best_trials
from orchestrator.columns import PREFIX, is_off
from orchestrator.extension import is_exhausted
from orchestrator.picking import pick
from orchestrator.record import Record
from orchestrator.run_folder import Run, command_for
from orchestrator.show_failures import print_failures
from orchestrator.simulation import regret
from orchestrator.simulation.curves import Curves
from orchestrator.simulation.regret import Outcomes
from orchestrator.stage import StageConfig
from orchestrator.sweep import Sweep
from orchestrator.tables import models_table, trials_table
from orchestrator.time_spent import minutes_of
from search_spaces import as_python, in_words
from trainables.loop import column

_WIDTH = 120
"""Columns where there is no terminal to ask, such as a file."""
_LONG = 40
"""Characters of a cell above which it may take several lines."""


def show(run: Run, *, count: int = 10, stage: StageConfig | None = None) -> None:
    """Prints the best trials, what ASHA saved, the models beside their parents, and where the files are.

    stage: the post-stage whose bounds pick a model; None is each of the run's.
    """
    console, sweep = _console(), run.sweep
    record = run.record()
    trials, models = trials_table(record, run.folder), models_table(record)
    if not trials.empty:
        _print_best(console, sweep, trials, count)
        _print_search(console, sweep, record, trials)
        print_failures(console, run, trials)
    _print_state(console, run, record)
    if not models.empty:
        _print_models(console, models)
    for name, students in run.student_runs().items():
        _print_students(console, name, students)
    for one in [stage] if stage else run.stages().values():
        if picked := pick(models, one.bounds):
            console.print(picked.told(one.bounds), markup=False, highlight=False, soft_wrap=True)
    for note in record.notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(trials)} trials, {len(models)} models in {run.folder}", soft_wrap=True, highlight=False)


def _print_best(console: Console, sweep: Sweep, trials: pd.DataFrame, count: int) -> None:
    """The best trials, and, as far as there is room, those without a result after them."""
    best = best_trials(trials, sweep.metric, sweep.mode, len(trials))
    listed = pd.concat([best, trials.drop(best.index)]).head(count)
    columns = ["trial", "status", column(sweep.metric), "val_accuracy", "share", "best_epoch", "epochs", "seconds"]
    shown = [name for name in dict.fromkeys(columns) if name in listed and listed[name].notna().any()]
    console.print(_table(f"best of {len(trials)} trials by {sweep.metric}", listed[shown]))
    if best.empty:
        return
    if sweep.search.repeats > 1:
        means = configurations(trials, sweep.metric, sweep.mode).head(count)
        console.print(_table(f"mean {sweep.metric} over seeds", means[["trial", "mean", "std", "repeats"]]))
    console.print(_table(f"configuration of trial {best['trial'].iloc[0]}", _configuration(best.iloc[0])))


def _print_state(console: Console, run: Run, record: Record) -> None:
    """How many trials there are of each status, the run's time, and how to continue what was interrupted."""
    counts = Counter(trial.status for trial in record.trials.values())
    told = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    sessions = len(record.time.sessions)
    times = f"elapsed {minutes_of(run.elapsed(record))} in {sessions} session{'s' if sessions > 1 else ''}"
    _say(console, f"trials: {told}; {times}")
    under_way = [trial.id for trial in record.open.values() if trial.status == "interrupted"]
    if under_way or record.stop:
        what = f"interrupted ({', '.join(under_way)})" if under_way else f"stopped ({record.stop})"
        _say(console, f"{what}; continue with: {command_for('resume', run.folder)}")


def _say(console: Console, line: str) -> None:
    """Print a line as it is, however long."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def show_regret(outcomes: Outcomes, curves: Curves) -> None:
    """Prints regret over time and the time to some regrets, a row a method."""
    console = _console()
    title = f"regret in {curves.metric} over simulated time, mean ± standard deviation over seeds"
    console.print(_table(title, regret.over_time(outcomes, curves)))
    title = "simulated seconds, median over seeds, to a regret of so many times the scale; epochs of a search"
    console.print(_table(title, regret.times(outcomes, curves)))
    scale = (
        f"best {curves.metric} {curves.sign * curves.best:.4g}; scale {curves.scale:.4g}, from it to the upper quartile"
    )
    console.print(f"{len(curves)} curves; {scale}", highlight=False, soft_wrap=True)


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    return console


def _print_search(console: Console, sweep: Sweep, record: Record, trials: pd.DataFrame) -> None:
    """What ASHA saved, where the workers' time went, and what ended the search early."""
    if sweep.asha:
        saved = savings(record, sweep.epochs_of)
        console.print(
            f"ASHA stopped {saved['stopped']:.0f} of {saved['trials']:.0f} trials: {saved['epochs_trained']:.0f} epochs"
            f" trained, {saved['epochs_saved']:.0f} saved ({saved['saved_share']:.0%})."
            + (f" A limit stopped {saved['limited']:.0f} more." if saved["limited"] else "")
        )
    shares = efficiency(record).sort_values(ascending=False)
    console.print("workers' time: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
    if record.limit:
        console.print(f"the search ended early: {record.limit}", markup=False)
    if is_exhausted(sweep, record):
        console.print(f"the space is exhausted: all of its {sweep.space.size} configurations were tried")


def _print_models(console: Console, models: pd.DataFrame) -> None:
    """The models, the front among them, and what teachers were worth."""
    console.print(_table("models", _model_columns(beside_parents(models))))
    for row in models[models["status"] != "ok"].itertuples():
        console.print(f"{row.id} is {row.status}: {row.reason}", markup=False)
    best, controlled = front(models), beside_controls(models)
    if not best.empty:
        title = "front: the models that no other beats in both validation score and latency at batch 1"
        console.print(_table(title, _model_columns(best)))
    if not controlled.empty:
        gains = controlled["gain"]
        console.print(
            f"with a teacher beside without, trained alike: {gains.mean():+.2f} points on test in the mean over"
            f" {len(gains)} students, from {gains.min():+.2f} to {gains.max():+.2f}"
        )


def _print_students(console: Console, name: str, run: Run) -> None:
    """What became of all the students of a stage, those included of which there is no model."""
    record = run.record()
    controls = [trial for trial in record.trials.values() if not run.sweep.compares(trial.config)]
    counts = Counter(trial.status for trial in record.trials.values() if trial not in controls)
    told = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    beside = f"; {len(controls)} controls" if controls else ""
    console.print(f"students {name}: {told}{beside}; in {run.folder}", markup=False, highlight=False, soft_wrap=True)
    if record.limit:
        console.print(f"the search for students {name} ended early: {record.limit}", markup=False, soft_wrap=True)


def _configuration(trial: pd.Series) -> pd.DataFrame:
    named = {name.removeprefix(PREFIX): as_python(trial[name]) for name in trial.index if name.startswith(PREFIX)}
    config = {name: value for name, value in named.items() if not is_off(value)}
    shown = [in_words(value) if value is None or isinstance(value, bool) else value for value in config.values()]
    return pd.DataFrame({"parameter": list(config), "value": pd.Series(shown, dtype="object")})


def _model_columns(models: pd.DataFrame) -> pd.DataFrame:
    """The columns worth a place on the screen, in the units that one reads."""
    shown: dict[str, tuple[str, Callable[[float], str]]] = {
        "test": ("test_accuracy", "{:.2%}".format),
        "val": ("val_accuracy", "{:.2%}".format),
        "test R²": ("test_r2", "{:.4f}".format),
        "val R²": ("val_r2", "{:.4f}".format),
        "control": ("control_test", "{:.4f}".format if models["test_accuracy"].isna().all() else "{:.2%}".format),
        "MACs": ("macs", _short),
        "bytes": ("bytes", _short),
        "ms, 1": ("latency_1_median_ms", "{:.3f}".format),
        "ms, 32": ("latency_32_median_ms", "{:.3f}".format),
        "faster\nat 1": ("faster_1", "{:.2f}x".format),
        "faster\nat 32": ("faster_32", "{:.2f}x".format),
    }
    students = models["kind"].where(models["loss"] == "", models["kind"] + " " + models["loss"])
    frame = pd.DataFrame({"model": models["id"], "how": students.where(models["kind"] != "int8", "int8")})
    for title, (name, form) in shown.items():
        if name in models and models[name].notna().any():
            frame[title] = models[name].map(form, na_action="ignore")
    return frame


def _short(number: float) -> str:
    """Three digits and a unit: 1.07M."""
    for unit in ("", "k", "M"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:,.3g}G"


def _table(title: str, frame: pd.DataFrame) -> Table:
    """Where the screen is too narrow, long texts are broken before any figure is cut."""
    table = Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for index, name in enumerate(frame.columns):
        breaks = name == "how" or frame.iloc[:, index].map(lambda value: len(_cell(value))).max() > _LONG
        table.add_column(str(name), justify="right" if index else "left", no_wrap=not breaks, overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)
