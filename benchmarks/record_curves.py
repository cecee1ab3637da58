"""Records real learning curves of a small network on digits, for the simulator: a whole grid, or random points.

A grid is recorded whole, so that a simulated search meets real trainings only; a continuum at random points, whose
number is `--count`. One process, one thread, no Ray. Seconds are of the processor, so that other work on the machine
does not show in them. What is recorded stays: the same command goes on where it was ended. It takes about 8 minutes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from orchestrator.simulation.curve_files import load_curves
from orchestrator.simulation.curves import Curves
from search_spaces import Config, Space, load_space
from trainables import DataConfig, Dataset, Diverged, TrainConfig, Trainer, load_data
from trainables.storage import write_bytes

FOLDER = Path(__file__).parent / "curves"
EPOCHS = 27
# Many validation images, that the metric has steps finer than what configurations differ by.
SHARED: dict[str, Any] = {
    "data": {"name": "digits", "validation": 0.4, "test": 0.2},
    "model": {"name": "mlp"},
    "augment": {"rotate": 10.0, "shift": 0.1},
    "epochs": EPOCHS,
}
_SAVE_EVERY = 25


def record(index: int, config: Config, data: Dataset) -> Iterator[dict[str, Any]]:
    """A row an epoch; the last one of a training that diverged has no metrics."""
    trainer = Trainer(TrainConfig.of(SHARED, config), data)
    row: dict[str, Any] = {"trial": index, **{f"config.{name}": value for name, value in config.items()}}
    started = time.process_time()
    try:
        for metrics in trainer.epochs():
            seconds, started = time.process_time() - started, time.process_time()
            known = {"val_loss": round(metrics.val_loss, 5), "val_accuracy": metrics.val_accuracy}
            yield {**row, "epoch": metrics.epoch, **known, "seconds": round(seconds, 4)}
    except Diverged as error:
        seconds = round(time.process_time() - started, 4)
        yield {**row, "epoch": error.epoch, "val_loss": math.nan, "val_accuracy": math.nan, "seconds": seconds}


def save(table: pd.DataFrame, path: Path) -> None:
    """Single precision is more than is measured, and half the size."""
    buffer = BytesIO()
    narrow = {
        "trial": "int32",
        "epoch": "int16",
        "val_loss": "float32",
        "val_accuracy": "float32",
        "seconds": "float32",
    }
    table.astype(narrow).to_parquet(buffer, index=False, compression="zstd")
    write_bytes(path, buffer.getbuffer())


def recorded(space: str) -> Curves:
    """The curves that were recorded of a space."""
    return load_curves(FOLDER / f"{space}.parquet", space=load_space(FOLDER / f"{space}.yaml"), metric="val_loss")


def configurations(space: Space, count: int) -> list[Config]:
    """The whole grid of a finite space, else `count` random configurations."""
    if space.size is not None:
        return list(space.grid())
    return [space.sample(np.random.default_rng([0, index])) for index in range(count)]


def main(options: Namespace) -> int:
    torch.set_num_threads(1)
    data, out = load_data(DataConfig(**SHARED["data"])), options.folder / f"{options.space}.parquet"
    configs = configurations(load_space(FOLDER / f"{options.space}.yaml"), options.count)
    rows: list[Any] = pd.read_parquet(out).to_dict("records") if out.exists() else []
    for index in range(len({row["trial"] for row in rows}), len(configs)):
        rows += record(index, configs[index], data)
        if (index + 1) % _SAVE_EVERY == 0 or index + 1 == len(configs):
            save(pd.DataFrame(rows), out)
            print(f"{index + 1} of {len(configs)} curves in {out}", flush=True)
    return 0


def _options() -> Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space", choices=sorted(path.stem for path in FOLDER.glob("*.yaml")), help="in curves/")
    parser.add_argument("--count", type=int, default=550, help="curves of a continuum (default %(default)s)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the curves go (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
