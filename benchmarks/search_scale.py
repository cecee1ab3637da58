"""Whether one process can propose for a thousand workers: a simulated search in which proposals take their real time.

Every epoch lasts 60 simulated seconds, curves are real (see record_curves.py), ASHA's rungs are at 1, 3, 9 and 27. A
worker that is free waits until the searcher, which makes one proposal after the other, has one for it.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import Figure, make_parser, report
from benchmarks.record_curves import CURVES, EPOCHS, SPACE
from orchestrator.scheduling import budgets
from orchestrator.searchers import SEARCHERS, Observation, Searcher, make_searcher
from orchestrator.simulation.curve_files import load_curves
from orchestrator.simulation.outcome import Outcome
from orchestrator.simulation.simulator import Simulation, simulate
from search_spaces import Config, load_space

_SHORT = 2000
_TELL_EVERY = 500


class Watched:
    """A searcher with a note of each proposal: its seconds, and the process's memory after it, in bytes."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self.seconds: list[float] = []
        self.memory: list[int] = []

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        started = time.perf_counter()
        config = self._searcher.suggest(done, pending)
        self.seconds.append(time.perf_counter() - started)
        self.memory.append(resident())
        if len(self.seconds) % _TELL_EVERY == 0:
            last = np.median(self.seconds[-_TELL_EVERY:])
            told = f"{len(self.seconds)} proposals, {last * 1000:.1f} ms, {self.memory[-1] / 1e6:.0f} MB"
            print(told, file=sys.stderr, flush=True)
        return config


def resident() -> int:
    """Bytes of memory that the process has now; Linux only."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def figures(outcome: Outcome, watched: Watched, real_seconds: float) -> Iterator[Figure]:
    trials, seconds = len(outcome.record.trials), np.array(watched.seconds)
    yield Figure(name="idle share of workers, waiting for proposals", value=outcome.waited, at_most=0.05)
    yield Figure(name="trials", value=trials)
    yield Figure(name="simulated hours", value=outcome.seconds / 3600, unit="h")
    yield Figure(name="the simulation itself", value=real_seconds, unit="s")
    for name, share in (("median", 0.5), ("p95", 0.95), ("largest", 1.0)):
        yield Figure(name=f"a proposal, {name}", value=float(np.quantile(seconds, share)), unit="s")
    tenth = max(len(seconds) // 10, 1)
    yield Figure(name="a proposal, median of the last tenth", value=float(np.median(seconds[-tenth:])), unit="s")
    memory = np.array(watched.memory) / 1e6
    halves = memory[len(memory) // 2] - memory[0], memory[-1] - memory[len(memory) // 2]
    yield Figure(name="memory, first half of the trials", value=float(halves[0]), unit="MB more")
    yield Figure(name="memory, second half", value=float(halves[1]), unit="MB more")
    yield Figure(name="memory a trial", value=1000 * float(memory[-1] - memory[0]) / trials, unit="kB", at_most=50)


def main(options: Namespace) -> int:
    curves = load_curves(options.curves, space=load_space(SPACE), metric="val_loss")
    simulation = Simulation(
        workers=options.workers,
        trials=min(options.trials, _SHORT) if options.short else options.trials,
        epochs=EPOCHS,
        epoch_seconds=options.epoch_seconds,
        counts_proposals=True,
    )
    watched = Watched(make_searcher(options.search, curves.space, 0, rungs=budgets(simulation)))
    started = time.perf_counter()
    outcome = simulate(simulation, curves, watched)
    return 0 if report(list(figures(outcome, watched, time.perf_counter() - started)), options.json) else 1


def _options() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--workers", type=int, default=1000, help="(default %(default)s)")
    parser.add_argument("--trials", type=int, default=20000, help="(default %(default)s)")
    parser.add_argument("--epoch-seconds", type=float, default=60, help="simulated (default %(default)s)")
    parser.add_argument("--search", choices=SEARCHERS, default="bayes", help="(default %(default)s)")
    parser.add_argument("--short", action="store_true", help=f"{_SHORT} trials at most")
    parser.add_argument("--curves", default=CURVES, metavar="FILE", help="(default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_options()))
