"""A search for small models of one network, within a budget: the front of accuracy against latency that it finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.table import Table

from benchmarks.common import Figure
from orchestrator import Run, StageConfig, open_run
from orchestrator.compression import FRONT
from orchestrator.picking import LATENCY
from orchestrator.run_folder import STUDENTS

STAGE = "search"
CANDIDATES = 8
SPACE = {
    "keep_macs": {"log_uniform": [0.06, 0.5]},
    "importance": {"choice": ["magnitude", "taylor"]},
    "loss": {"choice": ["kl", "logit_standard", "dist"]},
    "temperature": {"uniform": [1.0, 6.0]},
    "distil_weight": {"uniform": [0.5, 1.0]},
    "lr": {"log_uniform": [0.01, 0.2]},
}


def stage(epochs: int, budget: int) -> StageConfig:
    """Students of `epochs` each, until `budget` of them are trained in all; controls of the chosen come on top."""
    return StageConfig.model_validate(
        {
            "name": STAGE,
            "best": 1,
            "space": {"parameters": SPACE},
            "search": {"name": "bayes", "trials": 1000},
            "asha": {"grace_period": 1, "reduction_factor": 2},
            "limits": {"epochs": budget},
            "models": CANDIDATES,
            "epochs": epochs,
        }
    )


def figures(run: Run, budget: int) -> Iterator[Figure]:
    """What the search tried, and what it found."""
    models, students = run.models(), run.students(STAGE)
    if "config.control" in students:
        students = students[students["config.control"].isna()]
    record = open_run(Path(str(run.folder), STUDENTS, STAGE)).record()
    yield Figure(name="search: budget", value=budget, unit="epochs")
    yield Figure(name="search: epochs trained", value=int(students["epochs"].sum()))
    yield Figure(name="search: until no student trained", value=record.elapsed / 60, unit="min")
    yield Figure(name="search: students tried", value=len(students))
    for status in ("completed", "stopped", "failed"):
        yield Figure(name=f"search: students {status}", value=int((students["status"] == status).sum()))
    made = models[(models["student"] != "") & (models["kind"] != "int8") & (models["status"] == "ok")]
    yield Figure(name="search: candidates with a model", value=len(made), at_least=CANDIDATES)
    front = run.front()
    yield Figure(name="front: models", value=len(front))
    for row in front.to_dict("records"):
        yield Figure(name=f"front: {row['id']}, latency at batch 1", value=row[LATENCY], unit="ms")
        yield Figure(name=f"front: {row['id']}, test accuracy", value=row["test_accuracy"])


def table(run: Run) -> Table:
    """The front, fastest first, and how its students were made."""
    shown = Table("model", "ms, batch 1", "validation", "test", "operations", "kB", "made by", title="front")
    models, students = run.front(), run.students(STAGE).set_index("trial")
    whole = run.models().set_index("kind")["macs"]["dense"]
    for row in models.to_dict("records"):
        share, kilobytes = row["macs"] / whole, row["bytes"] / 1000
        made_by = _made_by(students.loc[row["student"].rpartition("-")[2]]) if row["student"] else ""
        numbers = [f"{row[LATENCY]:.3f}", f"{row['val_accuracy']:.4f}", f"{row['test_accuracy']:.4f}"]
        shown.add_row(row["id"], *numbers, f"{share:.3f}", f"{kilobytes:.0f}", made_by)
    return shown


def _made_by(student: pd.Series) -> str:
    values = {name: student[f"config.{name}"] for name in SPACE}
    return ", ".join(
        f"{name} {value:.2g}" if isinstance(value, float) else str(value) for name, value in values.items()
    )


def save_plot(run: Run, file: Path) -> None:
    """Copies the plot that the run has of its models."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(str(run.folder), FRONT), file)
