"""Trials that were stopped tell what they know, and no more."""

import math

import numpy as np
import pytest

from orchestrator.searchers import Observation
from orchestrator.searchers.bayes import BayesSearcher
from orchestrator.searchers.fidelity import final_losses, losses_at
from search_spaces import Space, Uniform

RUNGS = (1, 3, 9, 27)
LINE = Space({"x": Uniform(0, 1)})


def seen(x=0.5, curve=(), **more) -> Observation:
    return Observation(
        **{"config": {"x": x}, "curve": curve, "loss": min(curve, default=1.0), "budget": len(curve)} | more
    )


def test_a_loss_counts_at_the_rungs_its_curve_has_reached():
    assert losses_at(seen(curve=(4.0, 2.0, 3.0, 1.0)), RUNGS) == pytest.approx([4, 2, math.nan, math.nan], nan_ok=True)
    assert losses_at(seen(curve=(math.nan, 2.0, 3.0)), RUNGS)[1] == 2
    assert losses_at(seen(loss=5.0, budget=10), RUNGS) == pytest.approx([math.nan, math.nan, 5, math.nan], nan_ok=True)
    assert losses_at(seen(loss=5.0, budget=0), RUNGS)[-1] == 5
    assert losses_at(seen(curve=(4.0, 2.0)), ()) == [2]


def test_the_loss_of_a_trial_that_stopped_by_its_own_patience_is_final():
    early = losses_at(seen(curve=(4.0, 2.0, 3.0, 1.0), complete=True), RUNGS)
    assert early == pytest.approx([4, 2, math.nan, 1], nan_ok=True)
    assert losses_at(seen(loss=5.0, budget=4, complete=True), RUNGS)[-1] == 5


def test_final_losses_follow_those_that_went_on():
    rng = np.random.default_rng(0)
    start = rng.random(60)
    losses = np.column_stack([start, 0.5 * start - 1, 0.25 * start - 2])
    losses[20:, 1:], losses[10:, 2] = math.nan, math.nan
    expected, variances = final_losses(losses)
    assert expected == pytest.approx(0.25 * start - 2, abs=0.08)
    assert expected[:10] == pytest.approx(losses[:10, 2])
    assert (variances[:10] == 0).all()
    assert variances[30] > variances[15] > 0


def test_without_trials_that_went_on_nothing_is_made_up():
    losses = np.array([[1.0, math.nan], [2.0, math.nan], [3.0, math.nan]])
    expected, variances = final_losses(losses)
    assert expected.tolist() == [1, 2, 3]
    assert variances[0] == pytest.approx(np.var([1, 2, 3]))


def test_noise_of_low_rungs_does_not_grow_from_relations_that_are_exact():
    losses = np.array([[1.0, 0.5], [2.0, 1.5], [3.0, 2.5], [4.0, math.nan]] * 20)
    assert final_losses(losses)[1].max() < 0.05


def test_a_stopped_trial_is_not_taken_for_a_bad_one():
    """Losses fall by 1 a rung: by their last losses alone, the stopped trials at the bottom of the bowl look worst."""
    rng, done = np.random.default_rng(0), []
    for x in rng.random(40).tolist():
        epochs = 27 if abs(x - 0.7) > 0.25 else 3
        curve = tuple(5 * (x - 0.7) ** 2 - math.log(epoch, 3) for epoch in range(1, epochs + 1))
        done.append(seen(x, curve))
    assert BayesSearcher(LINE, rungs=RUNGS).suggest(done, [])["x"] == pytest.approx(0.7, abs=0.15)
    assert abs(BayesSearcher(LINE).suggest(done, [])["x"] - 0.7) > 0.2


def test_trials_that_run_tell_what_they_have_shown():
    done = [seen(x, tuple([(x - 0.3) ** 2] * 9)) for x in np.linspace(0, 1, 9).tolist()]
    running = [seen(x, (-1.0,) * 9) for x in (0.9, 0.95)]
    searcher = BayesSearcher(LINE, rungs=RUNGS)
    assert searcher.suggest([*done, *running], [o.config for o in running])["x"] > 0.7
    assert searcher.suggest(done, [o.config for o in running])["x"] < 0.6


def test_without_rungs_trials_that_run_are_not_over():
    done = [seen(x, loss=(x - 0.3) ** 2) for x in np.linspace(0, 1, 9).tolist()]
    running = [seen(0.9, (-5.0,))]
    proposal = BayesSearcher(LINE).suggest([*done, *running], [running[0].config])
    assert proposal == pytest.approx(BayesSearcher(LINE).suggest(done, [running[0].config]), abs=0.1)
