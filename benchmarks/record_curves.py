"""Records real learning curves for the simulator: random configurations of a small network on digits.

One process, one thread, no Ray. Seconds are of the processor, so that other work on the machine does not show in them.
What is recorded stays: the same command goes on where it was ended. Its 550 curves take about 8 minutes.
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

from search_spaces import Config, load_space
from trainables import DataConfig, Dataset, Diverged, TrainConfig, Trainer, load_data
from trainables.storage import write_bytes

CURVES = Path(__file__).parent / "curves" / "digits.parquet"
SPACE = Path(__file__).parent / "curves" / "digits.yaml"
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


def main(options: Namespace) -> int:
    torch.set_num_threads(1)
    space, data = load_space(SPACE), load_data(DataConfig(**SHARED["data"]))
    rows: list[Any] = pd.read_parquet(options.out).to_dict("records") if options.out.exists() else []
    for index in range(len({row["trial"] for row in rows}), options.count):
        rows += record(index, space.sample(np.random.default_rng([0, index])), data)
        if (index + 1) % _SAVE_EVERY == 0 or index + 1 == options.count:
            save(pd.DataFrame(rows), options.out)
            print(f"{index + 1} of {options.count} curves in {options.out}", flush=True)
    return 0


def _options() -> Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=550, help="curves in all (default %(default)s)")
    parser.add_argument("--out", type=Path, default=CURVES, metavar="FILE", help="default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
