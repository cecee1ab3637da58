"""How well the shipped recipe trains: examples/fashion-mnist.yaml on all of Fashion-MNIST, by one thread.

Beside it stand what others have published for the data, found by much larger networks or much longer training.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from benchmarks.common import Figure, make_parser, report
from orchestrator.sweep import load_sweep
from trainables import Dataset, TrainConfig, Trainer, evaluate, load_data, save_checkpoint
from trainables.compress import cost

RECIPE = Path(__file__).parents[1] / "examples" / "fashion-mnist.yaml"
# Test accuracy and millions of parameters. ResNet-20 and WRN-28-10: Zhong et al., arXiv:1708.04896, 300 epochs; their
# parameters: arXiv:1512.03385 and 1605.07146. The others: what users told the makers of the data, who did not check it
# (github.com/zalandoresearch/fashion-mnist).
ANCHORS = {
    "two convolutions": (0.925, 0.1),
    "capsule network, shifts and flips": (0.936, 8.0),
    "ResNet18, flips, shifts, rotations": (0.949, 11.2),
    "DenseNet-BC, crops and flips": (0.954, 0.768),
    "ResNet-20, 300 epochs, crops and flips": (0.9561, 0.27),
    "ResNet-20, random erasing as well": (0.9598, 0.27),
    "WRN-28-10, random erasing as well": (0.9635, 36.5),
}


@dataclass(frozen=True)
class Outcome:
    """One training. seconds: from nothing to the tested model, without loading the data."""

    test_accuracy: float
    seconds: float
    epochs: int
    parameters: int
    macs: int


def train(config: TrainConfig, data: Dataset, keep: Path | None = None) -> Outcome:
    """Trains, telling each epoch, and looks at the test images once, at the end; `keep` is the network's file."""
    started = time.perf_counter()
    trainer = Trainer(config, data)
    for epoch in trainer.epochs():
        minutes = (time.perf_counter() - started) / 60
        told = f"loss {epoch.train_loss:.4f}, validation {epoch.val_loss:.4f} and {epoch.val_accuracy:.4f}"
        print(f"seed {config.seed}, epoch {epoch.epoch}, {minutes:.1f} min: {told}", flush=True)
    test = evaluate(trainer.model, data.test)
    if keep:
        save_checkpoint(keep, {"config": config.model_dump(mode="json"), "model": trainer.model.state_dict()})
    seconds = time.perf_counter() - started
    size = cost(trainer.model, data.input_shape)
    assert test.accuracy is not None
    return Outcome(test.accuracy, seconds, trainer.epoch, size.parameters, size.macs)


def figures(outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    """One outcome a seed, from 0."""
    for seed, outcome in enumerate(outcomes):
        yield Figure(name=f"seed {seed}: test accuracy", value=outcome.test_accuracy)
        yield Figure(name=f"seed {seed}: training", value=outcome.seconds / 60, unit="min")
    first = outcomes[0]
    yield Figure(name="epochs", value=first.epochs)
    yield Figure(name="operations a picture", value=first.macs / 1e6, unit="M MACs")
    yield Figure(name="parameters", value=first.parameters / 1e6, unit="M", at_most=0.5)
    longest = max(outcome.seconds for outcome in outcomes)
    yield Figure(name="longest training", value=longest / 60, unit="min", at_most=60)
    yield Figure(name="test accuracy, mean", value=mean(o.test_accuracy for o in outcomes), at_least=0.94)
    for name, (accuracy, parameters) in ANCHORS.items():
        yield Figure(name=f"published: {name} ({parameters:g}M)", value=accuracy)


def main(options: Namespace) -> int:
    torch.set_num_threads(1)
    outcomes = []
    for seed in range(options.seeds):
        overrides = {"seed": seed, **({"epochs": options.epochs} if options.epochs else {})}
        config = load_sweep(RECIPE).train_config(overrides)
        keep = options.keep / f"fashion-mnist-{seed}.pt" if options.keep else None
        outcomes.append(train(config, load_data(config.data), keep))
    return 0 if report(list(figures(outcomes)), options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings (default %(default)s)")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the networks go, for compression.py")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
