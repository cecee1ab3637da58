"""Optuna's own suite for samplers, run on the searchers through a thin adapter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("optuna", reason="the extra `bench` is not installed")

from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase

from orchestrator.searchers import RandomSearcher
from orchestrator.searchers.bayes import BayesSearcher
from tests.contracts.optuna_sampler import HalvingSampler


class _Suite(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """All cases for samplers of one objective."""


class TestBayes(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        # A short design, so that the model proposes within the ten trials of a case.
        return lambda: HalvingSampler(lambda space: BayesSearcher(space, initial=3))


class TestRandom(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: HalvingSampler(RandomSearcher)
