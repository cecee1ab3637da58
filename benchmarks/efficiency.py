"""How much of the machine's time becomes training, and how much sooner that leads to a good model.

A search over small networks for Fashion-MNIST, two trials at a time: by Ray Tune with OptunaSearch and ASHAScheduler,
as users usually write it, until it has trained all its trials; then ours, for as long as that took. Each way runs in a
process of its own, whose start counts. The network is small on purpose: what surrounds training weighs the more.
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.common import Figure, make_parser, report
from benchmarks.fashion.task import CONCURRENT, METRIC, Task, save_data
from trainables import DataConfig
from trainables.data import FASHION_MNIST
from trainables.data.idx import read_folder

VALIDATION = 1 / 6
# Ours may try more configurations in the time that the usual way takes; so many more it will not.
_TRIALS_IN_THE_SAME_TIME = 20


@dataclass(frozen=True)
class Curve:
    """The best validation accuracy so far, at the seconds (since the command) at which it rose."""

    seconds: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, reports: Sequence[tuple[float, float]]) -> Curve:
        """From (seconds, accuracy) of every epoch of every trial."""
        seconds, values, best = [], [], 0.0
        for second, value in sorted(reports):
            if value > best:
                best = value
                seconds.append(second)
                values.append(value)
        return cls(tuple(seconds), tuple(values))

    def at(self, second: float) -> float:
        return max((value for s, value in zip(self.seconds, self.values, strict=True) if s <= second), default=0.0)


@dataclass(frozen=True)
class Outcome:
    """One search: its curve, its length from the command to its end, and training seconds by what they went into."""

    curve: Curve
    seconds: float
    spent: dict[str, float]
    epochs: int

    def share(self, part: str) -> float:
        return self.spent[part] / (CONCURRENT * self.seconds)


def mean_at(curves: Sequence[Curve], second: float) -> float:
    """The mean over searches of the best accuracy so far."""
    return mean(curve.at(second) for curve in curves)


def seconds_to(curves: Sequence[Curve], target: float) -> float:
    """When the mean over searches reaches `target`; infinity if it never does."""
    moments = sorted(second for curve in curves for second in curve.seconds)
    return next((second for second in moments if mean_at(curves, second) >= target), inf)


def figures(ours: Sequence[Outcome], usual: Sequence[Outcome]) -> Iterator[Figure]:
    """What the searches of both ways show; those of the same place have the same seed."""
    for part in ours[0].spent:
        value = mean(outcome.share(part) for outcome in ours)
        wanted = 0.9 if part == "train" else None
        yield Figure(name=f"ours: share of worker time, {part}", value=value, at_least=wanted)
    yield Figure(name="usual: share of worker time, train", value=mean(outcome.share("train") for outcome in usual))
    for name, outcomes in (("ours", ours), ("usual", usual)):
        yield Figure(name=f"{name}: epochs an hour", value=mean(o.epochs / o.seconds * 3600 for o in outcomes))
    our_curves, usual_curves = ([outcome.curve for outcome in outcomes] for outcomes in (ours, usual))
    length = mean(outcome.seconds for outcome in usual)
    yield Figure(name="usual: length of a search", value=length, unit="s")
    for share in (0.125, 0.25, 0.5, 1.0):
        for name, curves in (("ours", our_curves), ("usual", usual_curves)):
            value = mean_at(curves, share * length)
            yield Figure(name=f"{name}: best validation accuracy after {share:g} of that", value=value)
    final = mean_at(usual_curves, inf)
    our_seconds, usual_seconds = seconds_to(our_curves, final), seconds_to(usual_curves, final)
    yield Figure(name="usual: time to its final accuracy", value=usual_seconds, unit="s")
    yield Figure(name="ours: time to that accuracy", value=our_seconds, unit="s")
    for seed, (one, other) in enumerate(zip(our_curves, usual_curves, strict=True)):
        target = other.at(inf)
        yield Figure(name=f"seed {seed}: ratio", value=seconds_to([one], target) / seconds_to([other], target))
    yield Figure(name="time to the usual way's final accuracy, ratio", value=our_seconds / usual_seconds, at_most=0.5)


def search(way: str, task: Task) -> float:
    """Runs one way in a process of its own; when that began. What it prints goes into the task's folder."""
    log = Path(task.folder) / f"{way}.log"
    command = [sys.executable, "-m", f"benchmarks.fashion.{way}", task.to_json()]
    started = time.time()
    with log.open("w") as output:
        done = subprocess.run(command, env=_environment(), stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise SystemExit(f"{way} ended with exit code {done.returncode}:\n{log.read_text()[-3000:]}")
    return started


def run_usual(task: Task) -> Outcome:
    from benchmarks.fashion.usual import DATA, REPORTS

    save_data(DataConfig(**task.data), Path(task.folder) / DATA)
    started = search("usual", task)
    rows = json.loads((Path(task.folder) / REPORTS).read_text())
    curve = Curve.of([(row["time"] - started, row[METRIC]) for row in rows])
    return Outcome(curve, rows[-1]["time"] - started, {"train": sum(row["train"] for row in rows)}, len(rows))


def run_ours(task: Task) -> Outcome:
    from benchmarks.fashion.ours import NAME
    from orchestrator import open_run

    started = search("ours", task)
    run = open_run(Path(task.folder) / NAME)
    reports = [event for event in run.events() if event["event"] == "epoch"]
    curve = Curve.of([(event["time"] - started, event["metrics"][METRIC]) for event in reports])
    spent = run.epochs().filter(like="time.").sum()
    seconds = reports[-1]["time"] - started
    parts = {str(name).removeprefix("time."): float(total) for name, total in spent.items()}
    parts["rest"] = CONCURRENT * seconds - sum(parts.values())
    return Outcome(curve, seconds, {"train": parts.pop("train"), **parts}, len(reports))


def prepared(images: int | None, folder: Path) -> dict[str, Any]:
    """A DataConfig as JSON: all of Fashion-MNIST, or a folder with its first training images and all for testing."""
    data: dict[str, Any] = {"name": "fashion_mnist", "validation": VALIDATION, "seed": 0}
    if images is None:
        return data
    parts = read_folder(Path(FASHION_MNIST))
    for name, count, (pictures, labels) in zip(("train", "t10k"), (images, None), parts, strict=True):
        _write_idx(folder / f"{name}-images-idx3-ubyte.gz", pictures[:count].numpy())
        _write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels[:count].numpy().astype(np.uint8))
    return {**data, "name": "idx", "path": str(folder)}


def _write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes(), compresslevel=1))


def _environment() -> dict[str, str]:
    """The same for both ways, without what `orchestrator` or the user sets for Ray; one thread a process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))}
    # A token of its own keeps Ray from writing one into the home folder.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {**kept, **token, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def main(options: Namespace) -> int:
    ours, usual = [], []
    with TemporaryDirectory() as folder:
        data_folder = Path(folder) / "data"
        data_folder.mkdir()
        data = prepared(options.images, data_folder)
        for seed in range(options.seeds):
            seed_folder = Path(folder) / str(seed)
            seed_folder.mkdir()
            task = Task(seed=seed, trials=options.trials, epochs=options.epochs, data=data, folder=str(seed_folder))
            usual.append(run_usual(task))
            trials, minutes = _TRIALS_IN_THE_SAME_TIME * options.trials, usual[-1].seconds / 60
            ours.append(run_ours(replace(task, trials=trials, minutes=minutes)))
    return 0 if report(list(figures(ours, usual)), options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="searches of each way (default %(default)s)")
    parser.add_argument("--trials", type=int, default=24, help="of the usual way (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=9, help="of a trial at most (default %(default)s)")
    parser.add_argument("--images", type=int, help="of the 60,000 for training and validation (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
