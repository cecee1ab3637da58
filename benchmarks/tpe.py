"""Optuna's TPE as a searcher of ours, told what Ray Tune's OptunaSearch tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from benchmarks.search.contenders import optuna_distribution
from orchestrator.searchers import Observation
from orchestrator.searchers.base import Key, key
from search_spaces import Config, Constant, Domain, Grid, Space


class Tpe:
    """Keeps a study, for one search from its start to its end.

    A trial that is over is told as complete with the last value it reported, wherever ASHA stopped it; what running
    trials report is not told. The space must have no conditions.
    """

    def __init__(self, space: Space, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        self._distributions = {name: _distribution(domain) for name, domain in space.domains.items()}
        self._asked: dict[Key, list[optuna.Trial]] = {}

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config:
        open_trials = {key(config) for config in pending}
        for seen in done:
            if seen.key not in open_trials:
                self._tell(seen)
        trial = self.study.ask(self._distributions)
        config: dict[str, Any] = dict(trial.params)
        self._asked.setdefault(key(config), []).append(trial)
        return config

    def _tell(self, seen: Observation) -> None:
        """What is told already is no longer among those asked."""
        for trial in self._asked.pop(seen.key, []):
            if seen.failed:
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self.study.tell(trial, seen.curve[-1])


def _distribution(domain: Domain) -> BaseDistribution:
    """A grid's values are options: that is what users of Ray Tune make of them."""
    if isinstance(domain, Grid | Constant):
        return CategoricalDistribution(list(domain.values()))
    distribution: BaseDistribution = optuna_distribution(domain)
    return distribution
