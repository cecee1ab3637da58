"""The command: `halving`, also `python -m orchestrator`."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from orchestrator.run_folder import Run

app = typer.Typer(
    name="halving",
    help="Search hyperparameters on a Ray cluster, then shrink the winners.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# Text, since a Path makes one slash of the two in s3://bucket.
SweepFile = Annotated[str, typer.Argument(metavar="SWEEP", help="The sweep's YAML file.")]
Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A model's folder, such as runs/digits/models/0007-dense, or a file in it."),
]
Models = Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Folders of models, or .onnx and .pt2 files.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="The run's folder, such as runs/digits, or its URI.")]


@app.command(epilog="Example: halving init my-sweep.yaml && halving run my-sweep.yaml")
def init(path: Annotated[Path, typer.Argument(metavar="FILE")] = Path("sweep.yaml")) -> None:
    """Write a commented sweep to start from."""
    template = files("orchestrator").joinpath("template.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template)
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    print(f"wrote {path}; run it with: halving run {path}")


@app.command(epilog="Example: halving run examples/digits.yaml")
def run(
    sweep: SweepFile,
    replace: Annotated[bool, typer.Option("--replace", help="Delete an earlier run of this name first.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no tables.")] = False,
) -> None:
    """Search, then compress, then show the results.

    Exits with 0; with 1 if no trial succeeded; with 2 if the sweep cannot be run as written; with 3 if the disk is
    full, the store fails or the lock is lost; with 130 after Ctrl-C and 143 after SIGTERM.
    """
    from orchestrator.runner import run as run_sweep
    from orchestrator.sweep import load_sweep

    with _told():
        _finish(run_sweep(load_sweep(sweep), replace=replace, quiet=quiet), quiet)


@app.command(epilog="Example: halving resume runs/digits --trials 60")
def resume(
    run: RunFolder,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all, instead of search.trials.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of a trial, instead of train.epochs.")] = None,
    changes: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML with other settings to change.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no tables.")] = False,
) -> None:
    """Go on with a run, whatever ended it, or extend a finished one.

    Trials that were under way go on from their last checkpoints. Exits as `halving run` does.
    """
    from orchestrator.runner import resume as resume_run
    from orchestrator.settings_file import load_mapping

    with _told():
        wanted = load_mapping(changes) if changes else {}
        if trials is not None:
            wanted["search"] = {**wanted.get("search", {}), "trials": trials}
        if epochs is not None:
            wanted["train"] = {**wanted.get("train", {}), "epochs": epochs}
        _finish(resume_run(run, wanted, quiet=quiet), quiet)


@app.command(epilog="Example: halving compress runs/digits --plan tiny.yaml")
def compress(
    run: RunFolder,
    plan: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="YAML in the shape of a sweep's `compress`; else the sweep's own."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no tables.")] = False,
) -> None:
    """Make small models of a run's best trials, or go on with that where it was.

    Students of another plan are kept beside those of the sweep's own, under the plan's name or that of its file. Exits
    as `halving run` does.
    """
    from orchestrator.runner import compress_run
    from orchestrator.show import show as show_run
    from orchestrator.stage import load_stage

    with _told(again="the same halving compress"):
        stage = load_stage(plan) if plan else None
        result = compress_run(run, stage, quiet=quiet)
        if not quiet:
            show_run(result, stage=stage)


@app.command(epilog="Example: halving show runs/digits --count 20")
def show(
    run: RunFolder,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many of the best trials to list.")] = 10,
) -> None:
    """Show a run's tables, finished or not."""
    from orchestrator.run_folder import open_run
    from orchestrator.show import show as show_run

    with _told():
        show_run(open_run(run), count=count)


@app.command(epilog="Example: halving simulate runs/digits --workers 64 --search bayes,random --seeds 20")
def simulate(  # noqa: PLR0913
    curves: Annotated[Path, typer.Argument(metavar="RUN_OR_TABLE", help="A run's folder, or a .parquet or .csv file.")],
    search: Annotated[str, typer.Option(metavar="NAMES", help="bayes, random, grid: the methods.")] = "bayes,random",
    workers: Annotated[int, typer.Option(min=1, help="Trials side by side.")] = 8,
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each method.")] = 5,
    trials: Annotated[int | None, typer.Option(min=1, help="Of a search; else as many as there are curves.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Simulated, after which a search ends.")] = None,
    asha: Annotated[bool, typer.Option("--asha/--no-asha", help="Stop poor trials early, or none.")] = True,
    grace_period: Annotated[int | None, typer.Option(help="ASHA's, instead of the run's own.")] = None,
    reduction_factor: Annotated[float | None, typer.Option(help="ASHA's, instead of the run's own.")] = None,
    epoch_seconds: Annotated[float | None, typer.Option(help="Of every epoch, instead of the recorded ones.")] = None,
    count_proposals: Annotated[bool, typer.Option("--count-proposals", help="Let workers wait for proposals.")] = False,
    space: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML; else the run's or the table's.")] = None,
    metric: Annotated[str | None, typer.Option(help="A column of the epochs, instead of the run's own.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="max or min, for a metric of which the run does not know it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Regret over time: .parquet, .csv, .json.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no tables.")] = False,
) -> None:
    """Compare searches on recorded learning curves, in simulated time.

    Nothing is trained: a proposed configuration learns as the nearest recorded one did. Searchers and ASHA are those
    of a real sweep. A table has the columns config.*, epoch, seconds and a metric; without a column trial, the rows of
    one configuration are a trial.
    """
    from orchestrator.show import show_regret
    from orchestrator.simulation import regret
    from orchestrator.simulation.curve_files import load_curves
    from orchestrator.simulation.simulator import compare, make_simulation
    from search_spaces import load_space

    with _told():
        regret.check_name(out)
        known = load_curves(curves, space=load_space(space) if space else None, metric=metric, mode=mode)
        simulation = make_simulation(
            workers=workers,
            trials=trials or len(known),
            epochs=known.epochs,
            asha=_asha(curves, grace_period=grace_period, reduction_factor=reduction_factor) if asha else None,
            limits={"minutes": minutes},
            epoch_seconds=epoch_seconds,
            counts_proposals=count_proposals,
        )
        outcomes = compare(simulation, known, [name.strip() for name in search.split(",")], seeds, quiet=quiet)
        if out:
            regret.save(regret.improvements(outcomes, known), out)
        if not quiet:
            show_regret(outcomes, known)


@app.command(epilog="Example: halving predict runs/digits/models/0007-dense photo.png scan.jpg")
def predict(
    model: Model,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images, tables or .npz files.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a model says of images, or of the rows of tables and .npz files: class and probability, or value.

    A folder stands for its model.onnx; name its model.int8.onnx or model.pt2 to run that. Only the file and the card
    beside it are needed.
    """
    from orchestrator.show_models import print_predictions
    from trainables.compress import open_artefact
    from trainables.compress import predict as predict_for

    with _told():
        print_predictions(predict_for(open_artefact(model), inputs), as_json=as_json)


@app.command(epilog="Example: halving bench runs/digits/models/0007-dense runs/digits/models/0007-student-0002")
def bench(
    models: Models,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Inputs of a call, may be repeated; else 1 and 32.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Calls of each model that are timed.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Time models side by side on one thread, and compare each with the first.

    A folder stands for its model.onnx and its model.int8.onnx.
    """
    from orchestrator.show_models import print_latencies
    from trainables.compress import time_artefacts

    with _told():
        print_latencies(time_artefacts(models, tuple(batch or (1, 32)), repeats), as_json=as_json)


def _asha(place: Path, **changes: float | None) -> dict[str, Any]:
    """The settings of the run in that folder, or the usual ones, with those laid over them that are given."""
    from orchestrator.run_folder import open_run

    own = open_run(place).sweep.asha if place.is_dir() else None
    return {
        **(own.model_dump() if own else {}),
        **{name: value for name, value in changes.items() if value is not None},
    }


def _finish(run: Run, quiet: bool) -> None:
    """Shows a run that came to its end."""
    from orchestrator.show import show as show_run

    if not quiet:
        show_run(run)
    if run.best().empty:
        print("halving: no trial succeeded", file=sys.stderr)
        raise typer.Exit(1)


@contextmanager
def _told(again: str = "halving resume") -> Iterator[None]:
    """What the user can mend, or has asked for, ends the command with one message and an exit code, not a traceback.

    again: what goes on with a run that was stopped.
    """
    try:
        with _data_warnings_shown():
            yield
    except KeyboardInterrupt as stop:
        _fail(f"stopped; nothing is lost: {again} goes on with it", 143 if str(stop) == "SIGTERM" else 130)
    except (ValueError, RuntimeError, OSError) as error:
        from orchestrator.errors import USER_ERRORS, Unfinished

        if isinstance(error, Unfinished):
            _fail(f"{error}; {error.remedy}, then {again} goes on with the run", 3)
        if not isinstance(error, USER_ERRORS):
            raise
        _fail(str(error))


@contextmanager
def _data_warnings_shown() -> Iterator[None]:
    """What is left out of the user's data is told, each once; what libraries warn each other of is not."""
    from trainables import DataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("default", DataWarning)
        warnings.showwarning = lambda message, *where: print(f"halving: {message}", file=sys.stderr)
        yield


def _fail(message: str, code: int = 2) -> NoReturn:
    print(f"halving: {message}", file=sys.stderr)
    raise SystemExit(code)


def main() -> None:
    """The entry point of the command."""
    warnings.filterwarnings("ignore")
    # As `python -m` does: a user's own modules are found where the command is started.
    sys.path.insert(0, os.getcwd())
    app()
