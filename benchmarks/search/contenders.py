"""Ours, and the searchers that people use today with the settings they come with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.search.play import Contender
from orchestrator.searchers import Observation, RandomSearcher, Searcher
from orchestrator.searchers.bayes import BayesSearcher
from search_spaces import Choice, Config, Domain, Int, LogInt, LogUniform, Space, Uniform


class Ours:
    """A searcher of this package."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._done: list[Observation] = []
        self._pending: dict[int, Config] = {}
        self._added = 0

    def ask(self) -> Config:
        config = self._searcher.suggest(self._done, list(self._pending.values()))
        if config is None:
            raise RuntimeError("nothing is left in the space")
        self.add(config)
        return config

    def add(self, config: Config) -> None:
        self._pending[self._added] = config
        self._added += 1

    def tell(self, number: int, loss: float) -> None:
        self._done.append(Observation(config=self._pending.pop(number), loss=loss))


class Skopt:
    """scikit-optimize's Optimizer with a Gaussian process and expected improvement.

    It knows nothing of pending trials, so they are told as its own `ask(n)` does: with the least loss so far as a lie
    ("cl_min"). It is made again for each proposal, which takes the one fit that a `tell` takes anyway.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed
        self._points: list[list[Any]] = []
        self._losses: dict[int, float] = {}

    def ask(self) -> Config:
        from skopt import Optimizer

        optimizer = Optimizer(
            [_skopt_dimension(domain) for domain in self._space.domains.values()],
            "GP",
            acq_func="EI",
            random_state=np.random.RandomState([self._seed, len(self._points)]),
            model_queue_size=1,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._losses:
                lie = min(self._losses.values())
                optimizer.tell(self._points, [self._losses.get(n, lie) for n in range(len(self._points))])
            point = optimizer.ask()
        # Numbers come as numpy's, which no configuration of this package has.
        point = [value.item() if isinstance(value, np.generic) else value for value in point]
        self._points.append(point)
        named = zip(self._space.domains.items(), point, strict=True)
        return {name: _from_plain(domain, value) for (name, domain), value in named}

    def add(self, config: Config) -> None:
        self._points.append([_to_plain(domain, config[name]) for name, domain in self._space.domains.items()])

    def tell(self, number: int, loss: float) -> None:
        self._losses[number] = loss


class Optuna:
    """A study with one of Optuna's samplers, in memory."""

    def __init__(self, space: Space, sampler: Any) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._study = optuna.create_study(sampler=sampler)
        self._distributions = {name: optuna_distribution(domain) for name, domain in space.domains.items()}

    def ask(self) -> Config:
        params = self._study.ask(self._distributions).params
        return {name: _from_plain(domain, params[name]) for name, domain in self._space.domains.items()}

    def add(self, config: Config) -> None:
        import optuna

        params = {name: _to_plain(domain, config[name]) for name, domain in self._space.domains.items()}
        state = optuna.trial.TrialState.RUNNING
        self._study.add_trial(optuna.create_trial(state=state, params=params, distributions=self._distributions))

    def tell(self, number: int, loss: float) -> None:
        self._study.tell(number, loss)


class Entry(NamedTuple):
    """How to make a contender for a space and a seed; `libraries` are those its results depend on, none: ours."""

    make: Callable[[Space, int], Contender]
    libraries: tuple[str, ...] = ()


def _tpe(space: Space, seed: int) -> Contender:
    """With the constant liar, which Optuna 5 has on unless told otherwise."""
    from optuna.samplers import TPESampler

    return Optuna(space, TPESampler(seed=seed))


def _gp(space: Space, seed: int) -> Contender:
    from optuna.samplers import GPSampler

    return Optuna(space, GPSampler(seed=seed))


OURS = "halving"
CONTENDERS: dict[str, Entry] = {
    OURS: Entry(lambda space, seed: Ours(BayesSearcher(space, seed))),
    "random": Entry(lambda space, seed: Ours(RandomSearcher(space, seed))),
    "optuna tpe": Entry(_tpe, ("optuna",)),
    "optuna gp": Entry(_gp, ("optuna",)),
    "skopt ei": Entry(Skopt, ("scikit-optimize", "scikit-learn")),
}


def _to_plain(domain: Domain, value: Any) -> Any:
    """A grid's value as its place, which peers take for a whole number; the other values as they are."""
    return value if _is_plain(domain) else domain.values().index(value)


def _from_plain(domain: Domain, value: Any) -> Any:
    return value if _is_plain(domain) else domain.values()[value]


def _is_plain(domain: Domain) -> bool:
    return isinstance(domain, Choice | Int | LogInt | Uniform | LogUniform)


def _skopt_dimension(domain: Domain) -> Any:
    from skopt.space import Categorical, Integer, Real

    match domain:
        case Choice():
            return Categorical(list(domain.options))
        case Uniform() | LogUniform():
            return Real(domain.low, domain.high, prior="log-uniform" if isinstance(domain, LogUniform) else "uniform")
        case Int() | LogInt():
            return Integer(domain.low, domain.high, prior="log-uniform" if isinstance(domain, LogInt) else "uniform")
        case _:
            return Integer(0, len(domain.values()) - 1)


def optuna_distribution(domain: Domain) -> Any:
    """Optuna's counterpart of a domain; that of a grid is of the places of its values, see `_to_plain`."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match domain:
        case Choice():
            return CategoricalDistribution(domain.options)
        case Uniform() | LogUniform():
            return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
        case Int() | LogInt():
            return IntDistribution(domain.low, domain.high, log=isinstance(domain, LogInt))
        case _:
            return IntDistribution(0, len(domain.values()) - 1)
