"""How well the shipped recipe trains: examples/fashion-mnist.yaml on all of Fashion-MNIST, by one thread.

Beside it stand what others have published for the data, found by much larger networks or much longer training.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from benchmarks.common import Figure, make_parser, report
from orchestrator.sweep import load_sweep
from trainables import Dataset, TrainConfig, Trainer, evaluate, load_checkpoint, load_data, save_checkpoint
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
    """One training, from nothing to the tested model, without loading the data.

    cpu_seconds: of its one thread, which waits for nothing: at most this would `seconds` be if nothing else ran.
    """

    test_accuracy: float
    seconds: float
    cpu_seconds: float
    epochs: int
    parameters: int
    macs: int


def trained(config: TrainConfig, folder: Path | None) -> Outcome:
    """The training of `config`; with a folder, the one that is kept there, or else a new one, which is kept then."""
    path = folder and kept_at(config, folder)
    facts = config.model_dump(mode="json")
    if path and path.exists() and (kept := load_checkpoint(path))["config"] == facts:
        return Outcome(**kept["outcome"])
    outcome, network = train(config, load_data(config.data))
    if path:
        save_checkpoint(path, {"config": facts, "model": network.state_dict(), "outcome": asdict(outcome)})
    return outcome


def kept_at(config: TrainConfig, folder: Path) -> Path:
    """The file of a kept training, a checkpoint with its config, model and outcome."""
    return folder / f"fashion-mnist-{config.seed}.pt"


def train(config: TrainConfig, data: Dataset) -> tuple[Outcome, nn.Module]:
    """Trains, telling each epoch, and looks at the test images once, at the end."""
    started, cpu_started = time.perf_counter(), time.process_time()
    trainer = Trainer(config, data)
    for epoch in trainer.epochs():
        minutes = (time.perf_counter() - started) / 60
        told = f"loss {epoch.train_loss:.4f}, validation {epoch.val_loss:.4f} and {epoch.val_accuracy:.4f}"
        print(f"seed {config.seed}, epoch {epoch.epoch}, {minutes:.1f} min: {told}", flush=True)
    test = evaluate(trainer.model, data.test)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    size = cost(trainer.model, data.input_shape)
    assert test.accuracy is not None
    return Outcome(test.accuracy, seconds, cpu_seconds, trainer.epoch, size.parameters, size.macs), trainer.model


def figures(outcomes: Mapping[int, Outcome]) -> Iterator[Figure]:
    """One outcome a seed."""
    for seed, outcome in outcomes.items():
        yield Figure(name=f"seed {seed}: test accuracy", value=outcome.test_accuracy)
        yield Figure(name=f"seed {seed}: training", value=outcome.seconds / 60, unit="min")
        yield Figure(name=f"seed {seed}: training, of the processor", value=outcome.cpu_seconds / 60, unit="min")
    first = next(iter(outcomes.values()))
    yield Figure(name="epochs", value=first.epochs)
    yield Figure(name="operations a picture", value=first.macs / 1e6, unit="M MACs")
    yield Figure(name="parameters", value=first.parameters / 1e6, unit="M", at_most=0.5)
    longest = max(outcome.cpu_seconds for outcome in outcomes.values())
    yield Figure(name="longest training, of the processor", value=longest / 60, unit="min", at_most=60)
    accuracy = mean(outcome.test_accuracy for outcome in outcomes.values())
    yield Figure(name="test accuracy, mean", value=accuracy, at_least=0.94)
    for name, (accuracy, parameters) in ANCHORS.items():
        yield Figure(name=f"published: {name} ({parameters:g}M)", value=accuracy)


def main(options: Namespace) -> int:
    torch.set_num_threads(1)
    more = {"epochs": options.epochs} if options.epochs else {}
    recipe, outcomes = load_sweep(RECIPE), {}
    for seed in range(options.first, options.first + options.seeds):
        outcomes[seed] = trained(recipe.train_config({"seed": seed, **more}), options.keep)
    return 0 if report(list(figures(outcomes)), options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (default %(default)s)")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where networks go, for compression.py; what is there is not redone"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
