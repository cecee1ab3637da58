"""The command: `halving`, also `python -m orchestrator`."""

from __future__ import annotations

import sys
import warnings
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="halving",
    help="Search hyperparameters on a Ray cluster, then shrink the winners.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="The sweep's YAML file.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder, such as runs/digits.")]


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

    Exits with 0, 1 if no trial succeeded, 2 if the sweep cannot be run as written, 130 after Ctrl-C.
    """
    from orchestrator.runner import Interrupted
    from orchestrator.runner import run as run_sweep
    from orchestrator.show import show as show_run
    from orchestrator.sweep import load_sweep

    try:
        result = run_sweep(load_sweep(sweep), replace=replace, quiet=quiet)
    except Interrupted as stop:
        print(f"interrupted; what was found until then: halving show {stop.folder}", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        show_run(result)
    if result.best().empty:
        print("no trial succeeded", file=sys.stderr)
        raise typer.Exit(1)


@app.command(epilog="Example: halving show runs/digits --count 20")
def show(
    run: RunFolder,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many of the best trials to list.")] = 10,
) -> None:
    """Show a run's tables, finished or not."""
    from orchestrator.run_folder import open_run
    from orchestrator.show import show as show_run

    show_run(open_run(run), count=count)


def main() -> None:
    """Runs the command; what the user can mend is one message and exit code 2, never a traceback."""
    warnings.filterwarnings("ignore")
    try:
        app()
    except ValueError as error:
        from orchestrator.errors import USER_ERRORS

        if not isinstance(error, USER_ERRORS):
            raise
        _fail(str(error))


def _fail(message: str) -> None:
    print(f"halving: {message}", file=sys.stderr)
    raise SystemExit(2)
