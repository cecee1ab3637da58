"""What every benchmark shares: figures with what is wanted of them, as a table to read and as JSON to keep."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_LIBRARIES = ("ray", "torch", "numpy", "scikit-optimize", "optuna", "joblib")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number; `at_least` or `at_most` say what is wanted of it, neither that it is for context."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def wanted(self) -> str | None:
        bounds = [(">=", self.at_least), ("<=", self.at_most)]
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None) or None

    @property
    def holds(self) -> bool | None:
        """Whether the number is as wanted; NaN never is. None where nothing is wanted."""
        if self.wanted is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """With the option that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def report(figures: Sequence[Figure], file: Path | None) -> bool:
    """Prints the figures, writes them to `file` if there is one, and tells whether all are as wanted."""
    Console().print(_table(figures))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(_document(figures), indent=2) + "\n")
    return all(figure.holds is not False for figure in figures)


def environment() -> dict[str, Any]:
    """What the figures depend on besides the code: machine, Python, versions, threads."""
    versions = {name: version for name in _LIBRARIES if (version := _version(name))}
    return {
        "machine": platform.machine(),
        "cpu": _cpu(),
        "gpu": _gpu(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "versions": versions,
    }


def _document(figures: Sequence[Figure]) -> dict[str, Any]:
    """NaN and infinity, which JSON does not know, become null."""
    rows = [
        {
            "name": figure.name,
            "value": figure.value if abs(figure.value) < float("inf") else None,
            "unit": figure.unit,
            "wanted": figure.wanted,
            "holds": figure.holds,
        }
        for figure in figures
    ]
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    return {"command": command, "environment": environment(), "figures": rows}


def _table(figures: Sequence[Figure]) -> Table:
    table = Table("figure", "value", "unit", "wanted", "")
    table.columns[1].justify = "right"
    marks = {None: "", True: "[green]holds[/]", False: "[red]does not hold[/]"}
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:.4g}", figure.unit, figure.wanted or "", marks[figure.holds])
    return table


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str:
    """The name of the GPU that torch uses, if the benchmark has imported torch and there is one."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else ""


def _cpu() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
