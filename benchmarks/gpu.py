"""How many pictures a second one trial trains on with a GPU, beside the barest loop and the barest graph of its step.

Every change of the pictures and averaged weights are on. The ways take turns, epoch by epoch; a figure is the median
over the turns. The pictures are noise of Fashion-MNIST's shape: what they show changes no speed.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from itertools import islice
from statistics import median

import torch

from benchmarks.common import Figure, make_parser, report
from benchmarks.throughput import bare_gpu
from benchmarks.throughput.task import configured
from trainables import Dataset, Split, TrainConfig, Trainer

GPU = torch.device("cuda", 0)
PARTS = ("mlp-128", "mlp-1024", "resnet-128", "resnet-1024")


def noise(images: int) -> Dataset:
    """With 1,000 more to validate."""
    generator = torch.Generator().manual_seed(0)

    def split(rows: int) -> Split:
        pictures = torch.randint(0, 256, (rows, 1, 28, 28), dtype=torch.uint8, generator=generator)
        return Split(pictures, torch.randint(0, 10, (rows,), generator=generator))

    names = tuple(map(str, range(10)))
    return Dataset(split(images), split(1000), split(1000), names, torch.tensor([0.5]), torch.tensor([0.29]))


def speeds(part: str, options: Namespace) -> Iterator[Figure]:
    """Of all ways with a network and a size of batch; the last figure is the share of the limit."""
    model, size = part.split("-")
    own = {"batch_size": int(size), "ema": 0.99, "optimizer": {"name": "sgd", "lr": 0.01}}
    base = configured(model, epochs=options.rounds + 2).model_dump(mode="json")
    config, data = TrainConfig.of({**base, **own}), noise(options.images)
    started = time.perf_counter()
    ours = _ours(config, data)
    first = next(ours)
    yield Figure(
        name=f"{part}: from the beginning to the first epoch's end", value=time.perf_counter() - started, unit="s"
    )
    ways = {
        "ours": ours,
        "ours, launched": _ours(config.model_copy(update={"compile": "off"}), data),
        "the barest loop": bare_gpu.launched(config, data, GPU),
        "the barest graph": bare_gpu.replayed(config, data),
    }
    turns = list(islice(zip(*ways.values(), strict=True), 1, options.rounds + 1))  # the first turn warms up
    for place, name in enumerate(ways):
        yield Figure(name=f"{part}: {name}", value=median(turn[place] for turn in turns), unit="pictures/s")
    yield Figure(name=f"{part}: first epoch", value=first, unit="pictures/s")
    ratio = median(turn[0] / turn[3] for turn in turns)
    yield Figure(name=f"{part}: ours to the barest graph", value=ratio, at_least=0.9)


def _ours(config: TrainConfig, data: Dataset) -> Iterator[float]:
    for epoch in Trainer(config, data).epochs():
        yield epoch.images_per_second


def main(options: Namespace) -> int:
    if not torch.cuda.is_available():
        print("benchmarks/gpu.py needs a GPU", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    found: list[Figure] = []
    holds = True
    for part in options.parts:
        for figure in speeds(part, options):
            print(f"{figure.name}: {figure.value:.6g} {figure.unit}", flush=True)
            found.append(figure)
        holds = report(found, options.json)
    return 0 if holds else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which of them (all)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (default 3)")
    parser.add_argument("--images", type=int, default=59_000, help="in an epoch (default 59,000)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
