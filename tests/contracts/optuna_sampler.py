"""A searcher of this package as a sampler of Optuna's, so that Optuna's own suite can be run on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import intersection_search_space
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from orchestrator.searchers import Observation, Searcher
from search_spaces import Choice, Config, Constant, Domain, Grid, Int, LogInt, LogUniform, Space, Uniform


class HalvingSampler(BaseSampler):
    """Proposes with a searcher over what all complete trials have in common; any other parameter by itself.

    Optuna goes on when a space is exhausted, where a searcher has no proposal: then a random configuration comes again.
    """

    def __init__(self, make: Callable[[Space], Searcher]) -> None:
        self._make = make

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        return self._propose(study, trial, search_space) if search_space else {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        return self._propose(study, trial, {param_name: param_distribution})[param_name]

    def _propose(self, study: Study, trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]) -> Config:
        space = Space({name: _domain(distribution) for name, distribution in distributions.items()})
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        config = self._make(space).suggest(*_known(space, others, study.direction))
        return space.sample(np.random.default_rng(trial.number)) if config is None else config


def _known(
    space: Space, trials: Sequence[FrozenTrial], direction: StudyDirection
) -> tuple[list[Observation], list[Config]]:
    """The searcher's arguments, of the trials that have set all parameters of the space: those that ended, and not."""
    sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
    done, pending = [], []
    for trial in trials:
        if not set(space.names) <= set(trial.params):
            continue
        config = {name: trial.params[name] for name in space.names}
        if trial.state.is_finished():
            complete = trial.state == TrialState.COMPLETE
            done.append(Observation(config=config, loss=sign * trial.values[0] if complete else math.nan))
        else:
            pending.append(config)
    return done, pending


def _domain(distribution: BaseDistribution) -> Domain:
    match distribution:
        case CategoricalDistribution():
            return Choice(distribution.choices)
        case FloatDistribution() | IntDistribution() if distribution.single():
            return Constant(distribution.low)
        case FloatDistribution(step=None):
            return (LogUniform if distribution.log else Uniform)(distribution.low, distribution.high)
        case IntDistribution(step=1):
            return (LogInt if distribution.log else Int)(distribution.low, distribution.high)
        case FloatDistribution() | IntDistribution():
            steps = round((distribution.high - distribution.low) / distribution.step)
            return Grid([distribution.low + step * distribution.step for step in range(steps + 1)])
    raise TypeError(f"must be a distribution of Optuna's, but got {distribution!r}")
