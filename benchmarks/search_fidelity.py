"""Whether it pays to learn from stopped trials for what they are: time to a good configuration under ASHA.

Simulated searches over real learning curves (see record_curves.py), eight workers, ASHA's rungs at 1, 3, 9 and 27.
Ours knows at which epoch a trial was stopped; beside it ours that takes every loss for a final one, random search, and
Optuna's TPE, which is told what today's Ray tells it: the last result of a stopped trial as its final value. Proposals
take no simulated time. A search ends when it has seen a regret of 0.05 of the curves' scale, the way from the best of
all curves to the upper quartile, or after 20 simulated seconds, which then count as its time.

Epochs take the seconds that were recorded, which differ much between batch sizes; with `--epoch-seconds` they all take
as long, and the time is a count of epochs.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, median

from benchmarks.common import Figure, make_parser, report
from benchmarks.record_curves import CURVES, EPOCHS, SPACE
from benchmarks.tpe import Tpe
from orchestrator.scheduling import budgets
from orchestrator.searchers import Searcher, make_searcher
from orchestrator.sections import LimitConfig
from orchestrator.simulation.curve_files import load_curves
from orchestrator.simulation.curves import Curves
from orchestrator.simulation.simulator import Simulation, simulate
from search_spaces import Space, load_space

OURS = "bayes"
REGRET = 0.05
WORKERS = 8
HORIZON = 20.0
"""Simulated seconds; random search has tried about a thousand configurations by then."""
HORIZON_EPOCHS = 400
"""The same where all epochs take as long."""


def makers(space: Space, compared: tuple[int, ...]) -> dict[str, Callable[[int], Searcher]]:
    """The methods; each takes a seed. `compared`: the epochs of ASHA's rungs."""
    return {
        OURS: lambda seed: make_searcher("bayes", space, seed, rungs=compared),
        "bayes without fidelity": lambda seed: make_searcher("bayes", space, seed),
        "TPE": lambda seed: Tpe(space, seed),
        "random": lambda seed: make_searcher("random", space, seed),
    }


def seconds_to_target(
    curves: Curves, make: Callable[[int], Searcher], seeds: int, horizon: float, epoch_seconds: float | None
) -> list[float]:
    """Simulated seconds to the target, by seed; the horizon if it is not reached."""
    target = curves.best + REGRET * curves.scale
    limits = LimitConfig(target=curves.sign * target, minutes=horizon / 60)
    seconds = []
    for seed in range(seeds):
        simulation = Simulation(
            workers=WORKERS, trials=None, epochs=EPOCHS, seed=seed, limits=limits, epoch_seconds=epoch_seconds
        )
        started = time.perf_counter()
        outcome = simulate(simulation, curves, make(seed))
        seconds.append(min(outcome.seconds_to(target), horizon))
        took = f"{len(outcome.record.trials)} trials, {time.perf_counter() - started:.1f} s"
        print(f"  seed {seed}: {seconds[-1]:.3f} s simulated, {took}", file=sys.stderr, flush=True)
    return seconds


def figures(seconds: Mapping[str, Sequence[float]], horizon: float) -> Iterator[Figure]:
    """From the seconds of every method and seed."""
    for name, of_method in seconds.items():
        yield Figure(name=f"{name}: mean time to a regret of {REGRET:g}", value=fmean(of_method), unit="simulated s")
        yield Figure(name=f"{name}: median", value=median(of_method), unit="simulated s")
        reached = sum(second < horizon for second in of_method)
        yield Figure(name=f"{name}: searches that reached it", value=reached, unit=f"of {len(of_method)}")
    peers = {name: fmean(of_method) for name, of_method in seconds.items() if name != OURS}
    for name, mean in peers.items():
        yield Figure(name=f"ours to {name}, ratio of means", value=fmean(seconds[OURS]) / mean)
    yield Figure(name="ours to the best peer", value=fmean(seconds[OURS]) / min(peers.values()), at_most=0.7)


def main(options: Namespace) -> int:
    curves = load_curves(options.curves, space=load_space(SPACE), metric="val_loss")
    compared = budgets(Simulation(workers=WORKERS, trials=None, epochs=EPOCHS))
    horizon = HORIZON_EPOCHS * options.epoch_seconds if options.epoch_seconds else HORIZON
    seconds = {}
    for name, make in makers(curves.space, compared).items():
        print(name, file=sys.stderr, flush=True)
        seeds = 5 if options.short else options.seeds
        seconds[name] = seconds_to_target(curves, make, seeds, horizon, options.epoch_seconds)
    return 0 if report(list(figures(seconds, horizon)), options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="searches of each method (default %(default)s)")
    parser.add_argument("--short", action="store_true", help="5 searches of each method")
    parser.add_argument("--epoch-seconds", type=float, help="of every epoch (default: as recorded)")
    parser.add_argument("--curves", default=CURVES, metavar="FILE", help="default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
