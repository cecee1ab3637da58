"""How good what a searcher finds is after 20, 40 and 100 evaluations: ours beside random search, TPE and two GPs.

Regret is normalised: 0 is the optimum of the task and 1 the median of random configurations. Every contender plays
every task with every seed, one trial at a time and with 8 pending. The peers' searches are kept in
results/search_peers.jsonl, keyed by what they depend on, so only ours and what is missing run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from itertools import product
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.common import Figure, make_parser, report  # noqa: E402
from benchmarks.search.cache import Cache, Search, versions  # noqa: E402
from benchmarks.search.contenders import CONTENDERS, OURS  # noqa: E402
from benchmarks.search.judge import Array, interval, mean_ranks  # noqa: E402
from benchmarks.search.play import play  # noqa: E402
from benchmarks.search.tasks import COMPARED, TASKS, make_task  # noqa: E402

KEPT = ROOT / "benchmarks" / "results" / "search_peers.jsonl"
MARKS = (20, 40, 100)
JUDGED = (40, 100)
"""The evaluations after which something is wanted."""
MODES = {1: "sequential", 8: "8 at a time"}
SHORT_SEEDS = 8


class Plan(NamedTuple):
    """Which searches are made."""

    tasks: Sequence[str]
    contenders: Sequence[str]
    seeds: int
    modes: Sequence[int]
    evaluations: int

    def searches(self) -> Iterator[Search]:
        """Seed by seed, so that whenever one stops all have about as many; the costliest contender comes last."""
        for seed, at_once, name, task in product(range(self.seeds), self.modes, self.contenders, self.tasks):
            libraries = (*CONTENDERS[name].libraries, TASKS[task].library)
            yield Search(task, name, seed, at_once, self.evaluations, versions(libraries))


def kept_seeds(plan: Plan, cache: Cache) -> int:
    """How many seeds, from the first on, lack none of the peers' searches."""
    peers = [search for search in plan.searches() if CONTENDERS[search.contender].libraries]
    return min((search.seed for search in peers if cache.get(search) is None), default=plan.seeds)


def run(search: Search) -> list[float]:
    """Play one search."""
    task = make_task(search.task, search.seed)
    contender = CONTENDERS[search.contender].make(task.space, search.seed)
    return play(task, contender, evaluations=search.evaluations, at_once=search.at_once, seed=search.seed)


def run_all(plan: Plan, cache: Cache, refresh: bool) -> dict[Search, list[float]]:
    """All searches of the plan, from the cache where they are there and may be."""
    found = {}
    for search in plan.searches():
        kept = CONTENDERS[search.contender].libraries
        known = cache.get(search) if kept and not refresh else None
        if known is None:
            known = _timed(search)
            if kept:
                cache.put(search, known)
        found[search] = known
    return found


def _timed(search: Search) -> list[float]:
    started = time.process_time()
    regrets = run(search)
    seconds = time.process_time() - started
    where = f"{search.task}, {MODES[search.at_once]}, seed {search.seed}"
    print(f"{search.contender}: {where}: {regrets[-1]:.4f} in {seconds:.1f} s", file=sys.stderr, flush=True)
    return regrets


def figures(plan: Plan, found: dict[Search, list[float]]) -> list[Figure]:
    """Ranks, mean regrets and what is wanted of ours, for each mode and number of evaluations; then task by task."""
    rows = [Figure(name="tasks", value=len(plan.tasks)), Figure(name="seeds of each task", value=plan.seeds)]
    for at_once, mark in product(plan.modes, [mark for mark in MARKS if mark <= plan.evaluations]):
        regrets = {name: _regrets(plan, found, name, at_once, mark) for name in plan.contenders}
        rows += _compare(f"{MODES[at_once]}, {mark}", regrets, judged=mark in JUDGED)
    for at_once, (row, task) in product(plan.modes, enumerate(plan.tasks)):
        for name in plan.contenders:
            mean = _regrets(plan, found, name, at_once, plan.evaluations)[row].mean()
            rows.append(Figure(name=f"{MODES[at_once]}, {plan.evaluations}, {task}: {name}", value=float(mean)))
    return rows


def _regrets(plan: Plan, found: dict[Search, list[float]], name: str, at_once: int, mark: int) -> Array:
    """After `mark` evaluations: (tasks, seeds)."""
    regrets = np.zeros((len(plan.tasks), plan.seeds))
    for search, curve in found.items():
        if (search.contender, search.at_once) == (name, at_once):
            regrets[plan.tasks.index(search.task), search.seed] = curve[mark - 1]
    return regrets


def _compare(where: str, regrets: dict[str, Array], judged: bool) -> list[Figure]:
    """Of each contender its mean rank and mean regret; ours should have the lowest."""
    ranks = mean_ranks(regrets)
    means = {name: float(values.mean()) for name, values in regrets.items()}
    peers = [name for name in regrets if name != OURS]
    judged = judged and OURS in regrets and bool(peers)
    rows = []
    for name, rank in ranks.items():
        most = min(ranks[peer] for peer in peers) if judged and name == OURS else None
        rows.append(Figure(name=f"{where}: mean rank, {name}", value=rank, at_most=most))
    for name, values in regrets.items():
        low, high = interval(values)
        rows.append(Figure(name=f"{where}: regret, {name}", value=means[name], unit=f"95%: {low:.4f} to {high:.4f}"))
        if judged and name == OURS:
            most = min(means[peer] for peer in peers)
            rows.append(Figure(name=f"{where}: regret, {name}, upper end", value=high, at_most=most))
    return rows


def parse() -> argparse.Namespace:
    parser = make_parser((__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, help=f"searches of each kind (default: 20, or {SHORT_SEEDS} with --short)")
    parser.add_argument("--short", action="store_true", help="few seeds: minutes, where the peers' searches are kept")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=COMPARED, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument(
        "--only", nargs="+", choices=CONTENDERS, default=[*CONTENDERS], metavar="NAME", help=", ".join(CONTENDERS)
    )
    parser.add_argument("--at-once", type=int, nargs="+", choices=MODES, default=[*MODES], help="1, 8 or both")
    parser.add_argument("--evaluations", type=int, default=max(MARKS), help="of each search (default: 100)")
    parser.add_argument("--only-kept", action="store_true", help="only the seeds that lack none of the peers' searches")
    parser.add_argument("--refresh", action="store_true", help="make the peers' searches again, too")
    parser.add_argument("--kept", type=Path, default=KEPT, metavar="FILE", help="the peers' searches")
    options = parser.parse_args()
    options.seeds = options.seeds or (SHORT_SEEDS if options.short else 20)
    if options.evaluations < MARKS[0]:
        parser.error(f"--evaluations must be at least {MARKS[0]}, but got {options.evaluations}")
    return options


def main() -> None:
    """Exits with 1 if a figure is not as wanted."""
    options = parse()
    plan = Plan(options.tasks, options.only, options.seeds, options.at_once, options.evaluations)
    cache = Cache(options.kept)
    try:
        if options.only_kept:
            plan = plan._replace(seeds=kept_seeds(plan, cache))
        if not plan.seeds:
            raise SystemExit(f"{options.kept}: has not all of the peers' searches of any seed")
        found = run_all(plan, cache, options.refresh)
    except PackageNotFoundError as error:
        raise SystemExit(f"{error.name} is not installed: pip install -e '.[bench]'") from None
    raise SystemExit(not report(figures(plan, found), options.json))


if __name__ == "__main__":
    main()
