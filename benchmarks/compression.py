"""Small models of the networks of fashion_mnist.py: how small, how fast and how good, beside these networks, beside the
same student without a teacher, and beside torch-pruning with plain cross-entropy training.

A quarter of the operations for each seed, all trained for as long; then a search for a front of accuracy against
latency within a budget, for the first one. The test images are looked at when a model is finished.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console

from benchmarks.common import Figure, make_parser, report
from benchmarks.compressing import front, seed
from benchmarks.compressing.clock import DENSE, EAGER, INT8, OURS
from benchmarks.compressing.ours import compressed
from benchmarks.compressing.parents import parent
from benchmarks.fashion_mnist import RECIPE
from orchestrator.sweep import load_sweep
from trainables import TrainConfig
from trainables.compress import Parent, StudentConfig

STUDENT: dict[str, Any] = {"keep_macs": 0.25, "loss": "kl", "temperature": 4.0, "distil_weight": 0.5, "lr": 0.05}
"""With students of seed 0 and 6 epochs, measured on training images that were put aside; for the
teacher's weight see README.md."""
SHORT: dict[str, Any] = {
    **{"data.name": "digits", "data.validation": 0.1, "data.test": 0.2, "epochs": 12, "batch_size": 32, "ema": 0.95},
    **{"augment.flip": 0.0, "augment.erase": 0.0, "augment.crop": 1},
}
"""The recipe for 1,800 pictures of 8x8."""


def train_config(options: Namespace, number: int) -> TrainConfig:
    """How the network of that seed is trained."""
    return load_sweep(RECIPE).train_config({"seed": number, **(SHORT if options.short else {})})


def student_config(network: Parent, epochs: int) -> StudentConfig:
    """How students of the network are made: without the erasing, which is too much for them."""
    augment = network.train.augment.model_copy(update={"erase": 0.0})
    return StudentConfig(**STUDENT, augment=augment, epochs=epochs)


def summary(results: Mapping[int, seed.Result]) -> Iterator[Figure]:
    """Over the seeds."""
    for name in (OURS, INT8):
        label = name.removesuffix(" in ONNX Runtime")
        below = [result.below[name] for result in results.values()]
        yield Figure(name=f"{label} below the parent, mean", value=mean(below), unit="points", at_most=seed.MOST_POINTS)
    for name in next(iter(results.values())).gains:
        label, gains = name.removesuffix(" in ONNX Runtime"), [result.gains[name] for result in results.values()]
        yield Figure(name=f"ours above {label}, mean", value=mean(gains), unit="points", at_least=0)
        if len(gains) > 1:
            yield Figure(name=f"ours above {label}, standard deviation", value=stdev(gains), unit="points")
    for name, least in ((EAGER, seed.TO_EAGER), (DENSE, seed.TO_DENSE)):
        slowest = min(result.faster(name) for result in results.values())
        yield Figure(name=f"int8 faster than {name}, batch 1, least", value=slowest, at_least=least)


def compare_seeds(options: Namespace, folder: Path) -> Iterator[Figure]:
    """Of each seed, and over all of them."""
    results = dict[int, seed.Result]()
    for number in range(options.first, options.first + options.seeds):
        network = _network(options, number, folder)
        student = student_config(network, options.epochs)
        results[number] = seed.compare(network, student, folder, options.repeats)
        yield from seed.figures(number, results[number])
    if results:
        yield from summary(results)


def search_front(options: Namespace, folder: Path) -> Iterator[Figure]:
    """Of the first seed's network; the front goes to the screen as a table, and as a plot where that is asked for."""
    if not options.budget:
        return
    stage = front.stage(options.search_epochs, options.budget)
    run = compressed(_network(options, options.first, folder), stage, folder / front.STAGE)
    Console(width=160).print(front.table(run))
    if options.plot:
        front.save_plot(run, options.plot)
    yield from front.figures(run, options.budget)


def _network(options: Namespace, number: int, folder: Path) -> Parent:
    """Those of digits are no others' business: they are kept with the rest."""
    nets = folder if options.short else options.nets or folder
    return parent(train_config(options, number), nets)


def main(options: Namespace) -> int:
    torch.set_num_threads(1)
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = [*compare_seeds(options, folder), *search_front(options, folder)]
    return 0 if report(found, options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, help="how many networks (default 3, with --short 2)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (default %(default)s)")
    parser.add_argument("--nets", type=Path, metavar="FOLDER", help="networks that fashion_mnist.py --keep has kept")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where runs go; what is there is not redone")
    parser.add_argument("--epochs", type=int, default=20, help="of students (default %(default)s)")
    parser.add_argument("--budget", type=int, default=30, help="epochs of the search (default %(default)s, 0: none)")
    parser.add_argument("--search-epochs", type=int, default=2, help="of its students (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=100, help="calls that are timed (default %(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the front there as a PNG")
    parser.add_argument("--short", action="store_true", help="the same with small pictures of digits")
    options = parser.parse_args()
    options.seeds = (2 if options.short else 3) if options.seeds is None else options.seeds
    return options


if __name__ == "__main__":
    sys.exit(main(_options()))
