"""How many pictures a second a trial trains on, beside the barest loop and the usual one, and how soon it starts.

Fashion-MNIST with every change of the pictures on, one thread. The ways take turns, epoch by epoch, so that other load
of the machine meets them alike; a figure is the median over the turns.
"""

from __future__ import annotations

import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.common import Figure, make_parser, report
from benchmarks.throughput import bare, usual
from benchmarks.throughput.task import MODELS, configured, loaded
from trainables import Dataset, TrainConfig, Trainer, Worker
from trainables.data import FASHION_MNIST

# The usual way is slow: this share of the pictures tells its pace.
_SHARE_OF_USUAL = 8


def speeds(model: str, options: Namespace) -> Iterator[Figure]:
    """Of all ways with that network; its last figure is the share of the limit."""
    config = configured(model, epochs=options.rounds + 1)
    data, few = (loaded(config, images) for images in (options.images, options.images // _SHARE_OF_USUAL))
    ways = {"ours": _ours(config, data), "the barest loop": bare.epochs(config, data)}
    if model == "mlp":
        ways |= {f"DataLoader, {n} processes": usual.epochs(config, few, n) for n in (0, 1, 2)}
    turns = list(islice(zip(*ways.values(), strict=True), 1, options.rounds + 1))  # the first turn warms up
    medians = {name: median(turn[place] for turn in turns) for place, name in enumerate(ways)}
    for name, value in medians.items():
        yield Figure(name=f"{model}: {name}", value=value, unit="pictures/s")
    if model == "mlp":
        best = max(value for name, value in medians.items() if name.startswith("DataLoader"))
        yield Figure(name=f"{model}: ours to the best DataLoader", value=medians["ours"] / best, at_least=3)
    ratio = median(turn[0] / turn[1] for turn in turns)
    yield Figure(name=f"{model}: ours to the barest loop", value=ratio, at_least=0.95)


def _ours(config: TrainConfig, data: Dataset) -> Iterator[float]:
    for epoch in Trainer(config, data).epochs():
        yield epoch.images_per_second


def starts(options: Namespace) -> Iterator[Figure]:
    """From a trial's beginning to its first step: in a process that had one before, and in a new one without ours."""
    config = configured("mlp", epochs=1).model_dump(mode="json")
    worker, second, fresh = Worker(), [], []
    _first_step(worker, config)
    for _ in range(options.rounds):
        second.append(_first_step(worker, config))
        fresh.append(_fresh(config))
    yield Figure(name="second trial: to its first step", value=median(second), unit="s")
    yield Figure(name="new process that loads the data: to its first step", value=median(fresh), unit="s")
    ratio = median(one / other for one, other in zip(second, fresh, strict=True))
    yield Figure(name="start of the second trial, ratio", value=ratio, at_most=0.1)


def _first_step(worker: Worker, config: dict[str, Any]) -> float:
    moments: list[float] = []
    hook = register_optimizer_step_post_hook(lambda *_: moments.append(time.perf_counter()))
    started = time.perf_counter()
    try:
        worker.begin(config, None)
        worker.epoch()
    finally:
        hook.remove()
    return moments[0] - started


def _fresh(config: dict[str, Any]) -> float:
    model = MODELS["mlp"]
    command = [sys.executable, "-m", "benchmarks.throughput.fresh", FASHION_MNIST]
    started = time.perf_counter()
    subprocess.run([*command, str(config["batch_size"]), str(model["width"])], check=True)
    return time.perf_counter() - started


def main(options: Namespace) -> int:
    torch.set_num_threads(1)
    found = [figure for model in MODELS for figure in speeds(model, options)]
    return 0 if report([*found, *starts(options)], options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, help="turns of each way (default 5, with --short 3)")
    parser.add_argument("--images", type=int, help="in an epoch (default 59,000, with --short 8,000)")
    parser.add_argument("--short", action="store_true", help="the same with fewer pictures and turns")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.short else 5)
    options.images = options.images or (8_000 if options.short else 59_000)
    return options


if __name__ == "__main__":
    sys.exit(main(_options()))
