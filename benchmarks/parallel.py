"""What a second worker is worth: data parallel and in stages, one thread a worker, at the same global batch.

A convolutional network without BatchNorm on Fashion-MNIST, by one worker and by two, who must come to the same losses.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from benchmarks.common import Figure, make_parser, report
from benchmarks.efficiency import prepared
from trainables import TrainConfig, Worker, join_group, leave_group

WAYS: dict[str, dict[str, Any]] = {
    "one worker": {},
    "data parallel": {"workers": 2},
    "two stages, gpipe": {"workers": 2, "parallel": {"stages": 2, "schedule": "gpipe"}},
    "two stages, 1f1b": {"workers": 2, "parallel": {"stages": 2, "schedule": "1f1b"}},
}
LOSSES = ("train_loss", "val_loss")


class Convolutions(nn.Sequential):
    """Five convolutions and a classifier, which any two workers compute as one does."""

    def __init__(self, input_shape: tuple[int, ...], classes: int, width: int = 16) -> None:
        sizes = [(input_shape[0], width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)]
        sizes += [(2 * width, 4 * width, 2), (4 * width, 4 * width, 1)]
        layers: list[nn.Module] = []
        for inputs, outputs, stride in sizes:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))


@dataclass(frozen=True)
class Outcome:
    """One training: every epoch's losses, images a second in each epoch, parameters of each rank."""

    losses: list[list[float]]
    speeds: list[float]
    parameters: list[int]

    @property
    def speed(self) -> float:
        """The median, without the first epoch, in which memory is taken and stages meet."""
        return median(self.speeds[1:])


def train(config: Mapping[str, Any], workers: int) -> Outcome:
    """A training by so many processes of one thread each."""
    with TemporaryDirectory() as folder:
        spawn(_rank, (workers, dict(config), folder), nprocs=workers)
        ranks = [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in range(workers)]
    return Outcome(ranks[0]["losses"], ranks[0]["speeds"], [rank["parameters"] for rank in ranks])


def _rank(rank: int, workers: int, config: dict[str, Any], folder: str) -> None:
    torch.set_num_threads(1)
    worker = Worker(join_group(rank, workers, f"file://{folder}/meeting"))
    worker.begin(config, None)
    epochs = []
    while not worker.finished:
        epochs.append(worker.epoch())
    outcome = Outcome(
        losses=[[epoch["metrics"][name] for name in LOSSES] for epoch in epochs],
        speeds=[epoch["metrics"]["images_per_second"] for epoch in epochs],
        parameters=[],
    )
    count = sum(parameter.numel() for parameter in worker.trainer.model.parameters())
    torch.save(asdict(outcome) | {"parameters": count}, Path(folder, f"{rank}.pt"))
    leave_group()


def difference(one: Outcome, other: Outcome) -> float:
    """The largest between two trainings' losses, over epochs."""
    pairs = zip(one.losses, other.losses, strict=True)
    return max(abs(a - b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True))


def figures(outcomes: Mapping[str, Outcome]) -> Iterator[Figure]:
    """What the ways of WAYS came to, beside the first of them."""
    alone, *others = outcomes.values()
    for way, outcome in outcomes.items():
        yield Figure(name=f"{way}: speed", value=outcome.speed, unit="images/s")
    for way, outcome in zip(list(outcomes)[1:], others, strict=True):
        yield Figure(name=f"{way}: speed-up", value=outcome.speed / alone.speed)
        yield Figure(name=f"{way}: largest difference of a loss", value=difference(alone, outcome), at_most=5e-5)
    for way, outcome in outcomes.items():
        if way.startswith("two stages"):
            for rank, count in enumerate(outcome.parameters):
                yield Figure(name=f"{way}: parameters of rank {rank}", value=count)
            together = sum(outcome.parameters) / alone.parameters[0]
            yield Figure(name=f"{way}: both ranks' of the model's", value=together, at_least=1, at_most=1)


def main(options: Namespace) -> int:
    with TemporaryDirectory() as folder:
        shared = {
            "data": prepared(options.images, Path(folder)),
            "model": {"name": "benchmarks.parallel:Convolutions"},
            "augment": {"rotate": 10, "shift": 0.1},
            # At a rate of 0.05 the last digit of a sum, which depends on who adds, grows to 0.03 of a loss in 5 epochs.
            "optimizer": {"lr": 0.01},
            "batch_size": options.batch_size,
            "epochs": options.epochs,
        }
        outcomes = {}
        for way, changes in WAYS.items():
            parallel = {"micro_batches": options.micro_batches, "balance": "time", **changes.get("parallel", {})}
            config = TrainConfig.of({**shared, "parallel": parallel}).model_dump(mode="json")
            outcomes[way] = train(config, changes.get("workers", 1))
    return 0 if report(list(figures(outcomes)), options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=6000, help="for training and validation (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=5, help="of each training (default %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="of all workers together (default %(default)s)")
    parser.add_argument("--micro-batches", type=int, default=4, help="of a batch in stages (default %(default)s)")
    parser.add_argument("--short", action="store_true", help="1,200 images and 3 epochs")
    options = parser.parse_args()
    if options.short:
        options.images, options.epochs = 1200, 3
    return options


if __name__ == "__main__":
    sys.exit(main(_options()))
