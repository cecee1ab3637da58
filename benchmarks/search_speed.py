"""How long a proposal takes with 8 trials pending: ours beside scikit-optimize and Optuna's samplers, in one run.

The space has 6 mixed dimensions. At each size a contender is given so many observations of random configurations, and
then proposes again and again. After each proposal the oldest pending trial ends. Ours goes on for a quarter of the
observations, so that scheduled refits of its model are in the distribution. Telling the loss counts, as some do their
work there. The first proposal, for which nothing has been prepared, is given beside the others and counts for the
longest. One thread; `--clock cpu` counts only the time of this process, where others share the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is loaded
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.common import Figure, make_parser, report  # noqa: E402
from benchmarks.search.contenders import CONTENDERS, OURS  # noqa: E402
from benchmarks.search.play import Contender  # noqa: E402
from search_spaces import Choice, Config, Int, LogInt, LogUniform, Space, Uniform  # noqa: E402

SPACE = Space(
    {
        "lr": LogUniform(1e-5, 1.0),
        "momentum": Uniform(0.0, 1.0),
        "dropout": Uniform(0.0, 0.9),
        "width": LogInt(8, 1024),
        "depth": Int(1, 8),
        "activation": Choice(("relu", "tanh", "gelu", "silu")),
    }
)
PENDING = 8
SIZES = (50, 200, 500, 1000, 10_000)
LARGEST = {"skopt ei": 500, "optuna gp": 1000}
"""Observations up to which the slow ones are measured."""
REPEATS = {"skopt ei": {50: 10, 200: 5, 500: 2}, "optuna gp": {50: 20, 200: 20, 500: 10, 1000: 5}}
MEDIANS = {1000: 0.1, 10_000: 0.25}
"""The seconds that ours may take at the median."""
LONGEST = 2.0
RATIO = 50
"""How many times faster than scikit-optimize ours should be at 200 observations."""


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Times(NamedTuple):
    """Seconds of the first proposal and of those after it."""

    first: float
    later: list[float]

    @property
    def median(self) -> float:
        return float(np.median(self.later))

    @property
    def p95(self) -> float:
        return float(np.quantile(self.later, 0.95))

    @property
    def longest(self) -> float:
        return max(self.first, *self.later)


def loss(config: Config) -> float:
    """A smooth valley with an optimum inside; a bit of noise that the configuration decides."""
    lr, width = np.log10(config["lr"]), np.log2(config["width"])
    bowl = 0.1 * (lr + 2) ** 2 + (config["momentum"] - 0.8) ** 2 + 0.02 * (width - 8) ** 2
    other = 0.3 * config["dropout"] * (config["depth"] < 4) + 0.03 * abs(config["depth"] - 5)
    option = {"relu": 0.1, "tanh": 0.3, "gelu": 0.0, "silu": 0.05}[config["activation"]]
    return float(bowl + other + option + 0.02 * np.sin(1e4 * (lr + width + config["dropout"])))


def measure(contender: Contender, observations: int, repeats: int, clock: Callable[[], float]) -> Times:
    """The times of `repeats` proposals after the first at this number of observations, which grows by one each time."""
    rng = np.random.default_rng(observations)
    configs = [SPACE.sample(rng) for _ in range(observations + PENDING)]
    for number, config in enumerate(configs):
        contender.add(config)
        if number < observations:
            contender.tell(number, loss(config))
    seconds = []
    for number in range(observations, observations + repeats + 1):
        value = loss(configs[number])
        started = clock()
        configs.append(contender.ask())
        contender.tell(number, value)
        seconds.append(clock() - started)
    return Times(seconds[0], seconds[1:])


Found = Mapping[tuple[str, int], Times]


def measure_all(options: argparse.Namespace) -> Found:
    """Size by size, so that a slow moment of the machine hits all contenders."""
    found = {}
    for size in options.sizes:
        for name in options.only:
            if size <= LARGEST.get(name, max(SIZES)):
                contender, repeats = CONTENDERS[name].make(SPACE, 0), _repeats(name, size, options)
                found[name, size] = measure(contender, size, repeats, CLOCKS[options.clock])
                print(f"{name} at {size}: {found[name, size].median:.4f} s", file=sys.stderr, flush=True)
    return found


def _repeats(name: str, size: int, options: argparse.Namespace) -> int:
    usual: int = options.repeats
    if name == OURS:
        return max(usual, size // 4)
    repeats = REPEATS.get(name, {}).get(size, usual)
    return max(2, repeats // 3) if options.short else repeats


def figures(found: Found) -> list[Figure]:
    """The times of each, then how many times faster ours is."""
    rows = [row for (name, size), times in found.items() for row in _times(name, size, times)]
    for (name, size), times in found.items():
        if name != OURS and (OURS, size) in found:
            ratio = times.median / found[OURS, size].median
            rows.append(Figure(name=f"{name} / {OURS} at {size}", value=ratio, at_least=_least(name, size)))
    return rows


def _times(name: str, size: int, times: Times) -> list[Figure]:
    ours, where = name == OURS, f"{name} at {size}"
    n = len(times.later)
    return [
        Figure(
            name=f"{where}, median of {n}", value=times.median, unit="s", at_most=MEDIANS.get(size) if ours else None
        ),
        Figure(name=f"{where}, p95", value=times.p95, unit="s"),
        Figure(name=f"{where}, first", value=times.first, unit="s"),
        Figure(name=f"{where}, longest", value=times.longest, unit="s", at_most=LONGEST if ours else None),
    ]


def _least(name: str, size: int) -> float | None:
    """How many times faster ours should be than the contender `name`."""
    if name == "skopt ei":
        return RATIO if size == 200 else None
    return 1.0 if name == "optuna gp" and size >= 200 else None


def parse() -> argparse.Namespace:
    names = [name for name in CONTENDERS if name != "random"]
    parser = make_parser((__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="observations")
    parser.add_argument(
        "--repeats", type=int, default=50, help="at least, of ours and the fast peer; the slow have fewer (default: 50)"
    )
    parser.add_argument("--short", action="store_true", help="a third of the peers' repeats")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what is measured (default: wall)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    if min(options.sizes) < 1 or options.repeats < 2:
        parser.error("--sizes must be positive and --repeats at least 2")
    return options


def main() -> None:
    """Exits with 1 if a figure is not as wanted."""
    import torch  # Optuna's process runs on it

    torch.set_num_threads(1)
    options = parse()
    found = measure_all(options)
    raise SystemExit(not report(figures(found), options.json))


if __name__ == "__main__":
    main()
