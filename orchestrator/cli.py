"""The command: `halving`, also `python -m orchestrator`."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.resources import files
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from orchestrator import exit_codes
from orchestrator.command_help import Command, Group

if TYPE_CHECKING:
    from orchestrator.run_folder import Run
    from trainables.storage import Place

Results = TypeVar("Results")

app = typer.Typer(
    name="halving",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Text, since a Path makes one slash of the two in s3://bucket.
SweepFile = Annotated[str, typer.Argument(metavar="SWEEP", help="YAML file of the sweep.")]
Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="Folder of a model, such as runs/digits/models/0007-dense, or a file in it."),
]
Models = Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Folders of models, or .onnx and .pt2 files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="Folder of the run, such as runs/digits, or its URI.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor tables.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            print(f"halving {metadata.version('halving')}")
        except metadata.PackageNotFoundError:
            _fail("the version is unknown, as the package is not installed; install it with: pip install .")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Search hyperparameters on a Ray cluster, then compress the best models.

    Start with: halving init sweep.yaml, then halving run sweep.yaml
    """


@app.command(cls=Command, epilog="halving init my-sweep.yaml\nhalving run my-sweep.yaml")
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; it must not exist.")] = Path(
        "sweep.yaml"
    ),
) -> None:
    """Write a commented sweep file to start from."""
    template = files("orchestrator").joinpath("template.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template)
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    print(f"wrote {path}; run it with: halving run {path}")


@app.command(cls=Command, epilog="halving run sweep.yaml\nhalving run sweep.yaml --replace")
def run(
    sweep: SweepFile,
    replace: Annotated[bool, typer.Option("--replace", help="Delete an earlier run of the same name first.")] = False,
    quiet: Quiet = False,
) -> None:
    """Search, compress the best trials, and show the results.

    Exit codes: 0 success; 1 no trial succeeded; 2 the sweep cannot be run as written; 3 the run had to stop (full
    disk, failing store, lost lock) and can be resumed; 130 Ctrl-C; 143 SIGTERM.
    """
    from orchestrator.runner import run as run_sweep
    from orchestrator.sweep import load_sweep

    with _ending() as ending:
        loaded = load_sweep(sweep)
        ending.on(loaded.folder)
        _finish(run_sweep(loaded, replace=replace, quiet=quiet), quiet)


@app.command(cls=Command, epilog="halving resume runs/digits\nhalving resume runs/digits --trials 60")
def resume(
    run: RunFolder,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Trials in all, instead of search.trials.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Epochs of a trial, instead of train.epochs.")
    ] = None,
    changes: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML file of other settings to change.")] = None,
    quiet: Quiet = False,
) -> None:
    """Continue a run that was interrupted, or extend a finished one.

    Trials that were under way continue from their last checkpoints. Exit codes are those of `halving run`.
    """
    from orchestrator.runner import resume as resume_run
    from orchestrator.settings_file import load_mapping

    with _ending() as ending:
        wanted = load_mapping(changes) if changes else {}
        if trials is not None:
            wanted["search"] = {**wanted.get("search", {}), "trials": trials}
        if epochs is not None:
            wanted["train"] = {**wanted.get("train", {}), "epochs": epochs}
        _finish(resume_run(ending.on(run), wanted, quiet=quiet), quiet)


@app.command(cls=Command, epilog="halving compress runs/digits\nhalving compress runs/digits --plan tiny.yaml")
def compress(
    run: RunFolder,
    plan: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="YAML file in the shape of `compress` in a sweep, used instead of it."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make small models of the best trials of a run, or continue making them.

    The students of a plan are kept beside those of the sweep, under the name of the plan or of its file. Exit codes
    are those of `halving run`.
    """
    from orchestrator.runner import compress_run
    from orchestrator.show import show as show_run
    from orchestrator.stage import load_stage

    with _ending() as ending:
        stage = load_stage(plan) if plan else None
        command = "halving compress {}" + (f" --plan {shlex.quote(plan)}" if plan else "")
        result = compress_run(ending.on(run, command), stage, quiet=quiet)
        if not quiet:
            show_run(result, stage=stage)


@app.command(cls=Command, epilog="halving show runs/digits\nhalving show runs/digits --count 20")
def show(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folder of the run, or its URI.")],
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, help="Number of the best trials to list.")
    ] = 10,
) -> None:
    """Show the tables of a run, finished or not."""
    from orchestrator.run_folder import open_run
    from orchestrator.show import show as show_run

    if len(runs) > 1:
        one_by_one = " && ".join(f"halving show {shlex.quote(run)}" for run in runs)
        _fail(f"show: takes one run, but got {len(runs)}; show them one after the other: {one_by_one}")
    with _ending():
        show_run(open_run(runs[0]), count=count)


@app.command(cls=Command, epilog="halving logs runs/digits 0007")
def logs(
    run: RunFolder,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Number of the trial, such as 0007.")],
) -> None:
    """Show what the processes of a trial printed, and the tracebacks of its errors.

    Of a long output, the first and the last part are kept.
    """
    from orchestrator.run_folder import open_run

    with _ending():
        text = open_run(run).log(trial)
        if text:
            print(text, end="" if text.endswith("\n") else "\n")
        else:
            print(f"halving: trial {trial} has printed nothing", file=sys.stderr)


@app.command(
    cls=Command,
    epilog="halving simulate runs/digits --workers 64\nhalving simulate curves.csv --search random,grid",
)
def simulate(  # noqa: PLR0913
    curves: Annotated[
        Path, typer.Argument(metavar="RUN_OR_TABLE", help="Folder of a run, or a .parquet or .csv file.")
    ],
    search: Annotated[
        str, typer.Option(metavar="NAMES", help="Searchers to compare: bayes, random, grid.")
    ] = "bayes,random",
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Trials side by side.")] = 8,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Searches for each searcher.")] = 5,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Trials of a search; by default the number of curves.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Simulated time after which a search ends.")
    ] = None,
    asha: Annotated[
        bool, typer.Option("--asha/--no-asha", help="Stop poor trials early, or train all in full.")
    ] = True,
    grace_period: Annotated[
        int | None, typer.Option(metavar="EPOCHS", help="asha.grace_period, instead of that of the run.")
    ] = None,
    reduction_factor: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="asha.reduction_factor, instead of that of the run.")
    ] = None,
    epoch_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Length of every epoch, instead of the recorded ones.")
    ] = None,
    count_proposals: Annotated[
        bool, typer.Option("--count-proposals", help="Let the real time of a proposal pass in simulated time.")
    ] = False,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file of the space, instead of that of the run or table.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the epochs, instead of the metric of the run.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="max or min, if the run does not know it of that metric.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for the regret over time: .parquet, .csv or .json.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compare searchers on recorded learning curves, in simulated time.

    Nothing is trained: each proposed configuration learns as the nearest recorded one did. Searchers and ASHA are
    those of a real sweep. A table has the columns config.*, epoch, seconds and a metric; without a column `trial`, the
    rows of one configuration are one trial.
    """
    from orchestrator.show import show_regret
    from orchestrator.simulation import regret
    from orchestrator.simulation.curve_files import load_curves
    from orchestrator.simulation.simulator import Simulation, compare
    from search_spaces import load_space

    with _ending():
        regret.check_name(out)
        known = load_curves(curves, space=load_space(space) if space else None, metric=metric, mode=mode)
        settings = {
            "workers": workers,
            "trials": trials or len(known),
            "epochs": known.epochs,
            "asha": _asha(curves, grace_period=grace_period, reduction_factor=reduction_factor) if asha else None,
            "limits": {"minutes": minutes},
            "epoch_seconds": epoch_seconds,
            "counts_proposals": count_proposals,
        }
        simulation = Simulation.model_validate(settings)
        methods = [name.strip() for name in search.split(",")]
        outcomes, stopped = _until_stopped(lambda: compare(simulation, known, methods, seeds, quiet=quiet))
        if outcomes and out:
            regret.save(regret.improvements(outcomes, known), out)
        if outcomes and not quiet:
            show_regret(outcomes, known)
        if stopped:
            _fail_stopped(sum(map(len, outcomes.values())), f"of {seeds * len(methods)} searches")


@app.command(cls=Command, epilog="halving predict runs/digits/models/0007-dense photo.png")
def predict(
    model: Model,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Images, CSV or Parquet tables, or .npz files.")
    ],
    as_json: AsJson = False,
) -> None:
    """Predict classes or values for images, table rows or arrays.

    A folder stands for its model.onnx; name its model.int8.onnx or model.pt2 to use that. Only the file and the card
    beside it are needed.
    """
    from orchestrator.show_models import print_predictions
    from trainables.compress import open_model
    from trainables.compress import predict as predict_for

    with _ending():
        print_predictions(predict_for(open_model(model), inputs), as_json=as_json)


@app.command(
    cls=Command, epilog="halving bench runs/digits/models/*\nhalving bench model.onnx other.onnx --batch 1 --batch 8"
)
def bench(
    models: Models,
    batch: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, help="Inputs of a call; may be repeated. By default 1 and 32."),
    ] = None,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Timed calls of each model.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Measure the latency of models side by side on one thread.

    Each is compared with the first. A folder stands for its model.onnx and its model.int8.onnx.
    """
    from orchestrator.show_models import print_latencies
    from trainables.compress import time_artefacts

    with _ending():
        batches = tuple(batch or (1, 32))
        rows, stopped = _until_stopped(lambda: time_artefacts(models, batches, repeats))
        if rows:
            print_latencies(rows, as_json=as_json)
        if stopped:
            _fail_stopped(len({row.batch for row in rows}), f"of {len(batches)} batch sizes")


def _until_stopped(measure: Callable[[], Results]) -> tuple[Results, bool]:
    """The results of a series of measurements, or after Ctrl-C those finished by then; and whether it was stopped."""
    from trainables.errors import Stopped

    try:
        return measure(), False
    except Stopped as stop:
        return stop.results, True


def _fail_stopped(finished: int, planned: str) -> NoReturn:
    _fail(
        f"stopped after {finished} {planned}" + ("; the figures above are of these" if finished else ""),
        exit_codes.INTERRUPTED,
    )


def _asha(place: Path, **changes: float | None) -> dict[str, Any]:
    """The ASHA settings of the run, or the defaults for a table, with the given changes laid over them."""
    from orchestrator.run_folder import open_run

    own = open_run(place).sweep.asha if place.is_dir() else None
    return {
        **(own.model_dump() if own else {}),
        **{name: value for name, value in changes.items() if value is not None},
    }


def _finish(run: Run, quiet: bool) -> None:
    """Show a run that has ended."""
    from orchestrator.show import show as show_run

    if not quiet:
        show_run(run)
    if run.best().empty:
        print("halving: no trial succeeded", file=sys.stderr)
        raise typer.Exit(exit_codes.NO_RESULT)


class _Ending:
    """End the command with one message and an exit code, not a traceback, for errors that the user can mend and stops.

    Attributes:
        folder: the run that the command works on, once it is known.
        again: the command that continues it.
    """

    def __init__(self) -> None:
        self.folder: Place | None = None
        self.again = ""

    def on(self, folder: Place, command: str = "halving resume {}") -> Place:
        """Name the run, for the message about how to continue it."""
        self.folder, self.again = folder, command.format(shlex.quote(str(folder)))
        return folder

    def stopped(self) -> str:
        """The message after Ctrl-C or SIGTERM."""
        from orchestrator.run_folder import is_run

        if self.folder is not None and is_run(self.folder):
            return f"stopped; nothing was lost. Continue with: {self.again}"
        return "stopped"


@contextmanager
def _ending() -> Iterator[_Ending]:
    ending = _Ending()
    try:
        with _data_warnings_shown():
            yield ending
    except KeyboardInterrupt as stop:
        _fail(ending.stopped(), exit_codes.TERMINATED if str(stop) == "SIGTERM" else exit_codes.INTERRUPTED)
    except (ValueError, RuntimeError, OSError) as error:
        from orchestrator.errors import USER_ERRORS, Unfinished

        if isinstance(error, Unfinished):
            _fail(f"{error}; {error.remedy}, then continue with: {ending.again}", exit_codes.UNFINISHED)
        if not isinstance(error, USER_ERRORS):
            raise
        _fail(str(error))


@contextmanager
def _data_warnings_shown() -> Iterator[None]:
    """Print each DataWarning once; hide the warnings of libraries."""
    from trainables import DataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("default", DataWarning)
        warnings.showwarning = lambda message, *where: print(f"halving: {message}", file=sys.stderr)
        yield


def _fail(message: str, code: int = exit_codes.USER_ERROR) -> NoReturn:
    print(f"halving: {message}", file=sys.stderr)
    raise SystemExit(code)


def main() -> None:
    """The entry point of the command."""
    warnings.filterwarnings("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # whatever its encoding, texts of the user's can be printed
            stream.reconfigure(errors="replace")
    # A user's own modules are found where the command is started, but none of them hides another module.
    sys.path.append(os.getcwd())
    try:
        app()
    except SystemExit as end:
        _leave(end.code)


def _leave(code: str | int | None) -> NoReturn:
    """End the process, at once if a store still owes it an answer: the store's client would wait for that."""
    patience = sys.modules.get("trainables.patience")  # not imported by what asked no store
    if patience and patience.leaves_requests() and isinstance(code, int):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
