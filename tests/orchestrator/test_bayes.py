"""Bayesian search finds better configurations than chance does, also with several trials at once."""

import math

import numpy as np
import pytest

from orchestrator.searchers import Observation, RandomSearcher
from orchestrator.searchers.bayes import BayesSearcher
from search_spaces import Choice, Int, LogUniform, Space, Uniform, When

MIXED = Space(
    {
        "x": Uniform(0, 1),
        "lr": LogUniform(1e-4, 1),
        "width": Int(1, 64),
        "kind": Choice(["a", "b", "c"]),
        "momentum": When(Uniform(0, 1), {"kind": ["b", "c"]}),
    }
)
SEEDS = range(4)


def loss(config) -> float:
    """A bowl in all numbers with its floor, 0, at kind "c"."""
    bowl = 4 * (config["x"] - 0.3) ** 2 + (math.log10(config["lr"]) + 2) ** 2 / 2
    bowl += 2 * ((config["width"] - 40) / 64) ** 2 + (config.get("momentum", 0.5) - 0.8) ** 2
    return bowl + {"a": 0.6, "b": 0.2, "c": 0.0}[config["kind"]]


def search(searcher, trials=25, at_once=1, measure=loss):
    """The observations of a search that keeps `at_once` trials running."""
    done, pending = [], []
    while len(done) < trials:
        while len(pending) < at_once:
            pending.append(searcher.suggest(done, pending))
        config = pending.pop(0)
        done.append(Observation(config=config, loss=measure(config)))
    return done


def best(observations) -> float:
    return min(observation.loss for observation in observations if not observation.failed)


def test_it_beats_random_search_on_a_mixed_space():
    bayes = [best(search(BayesSearcher(MIXED, seed))) for seed in SEEDS]
    chance = [best(search(RandomSearcher(MIXED, seed))) for seed in SEEDS]
    assert np.mean(bayes) < 0.6 * np.mean(chance)
    assert np.median(bayes) < min(chance)


def test_it_beats_random_search_with_trials_side_by_side():
    bayes = [best(search(BayesSearcher(MIXED, seed), at_once=4)) for seed in SEEDS]
    chance = [best(search(RandomSearcher(MIXED, seed), at_once=4)) for seed in SEEDS]
    assert np.mean(bayes) < 0.7 * np.mean(chance)


def test_it_does_not_care_about_the_unit_of_the_loss():
    done = search(RandomSearcher(MIXED, 0), trials=12)
    scaled = [Observation(config=o.config, loss=1024 * o.loss) for o in done]
    assert BayesSearcher(MIXED, 0).suggest(done, []) == BayesSearcher(MIXED, 0).suggest(scaled, [])


def test_it_does_not_care_how_bad_the_bad_trials_are():
    done = search(RandomSearcher(MIXED, 0), trials=12)
    worst = max(observation.loss for observation in done)
    worse = [Observation(config=o.config, loss=1e30 if o.loss == worst else o.loss) for o in done]
    failed = [Observation(config=o.config, loss=math.nan if o.loss == worst else o.loss) for o in done]
    proposals = [BayesSearcher(MIXED, 0).suggest(observations, []) for observations in (done, worse)]
    assert proposals[0] == proposals[1]
    assert BayesSearcher(MIXED, 0).suggest(failed, []) is not None


def test_it_keeps_away_from_where_trials_fail():
    def measure(config):
        return math.nan if config["x"] < 0.5 else (config["x"] - 0.6) ** 2

    space = Space({"x": Uniform(0, 1)})
    for seed in SEEDS:
        after_design = search(BayesSearcher(space, seed), trials=18, measure=measure)[8:]
        assert sum(observation.failed for observation in after_design) <= 2
        assert best(after_design) < 1e-3


@pytest.mark.parametrize("basins", [2, 3])
def test_pending_trials_send_the_next_proposal_to_another_basin(basins):
    space = Space({"x": Uniform(0, 1)})
    done = [
        Observation(config={"x": x}, loss=math.cos(2 * math.pi * basins * x))
        for x in np.linspace(0, 1, 5 * basins + 1).tolist()
    ]
    for seed in SEEDS:
        pending = []
        for _ in range(basins):
            pending.append(BayesSearcher(space, seed).suggest(done, pending))
        assert sorted(int(basins * config["x"]) for config in pending) == list(range(basins))


def test_the_design_covers_the_space_before_the_model_takes_over():
    space = Space({"x": Uniform(0, 1)})
    design = search(BayesSearcher(space, 3, initial=8), trials=8, at_once=4, measure=lambda c: 0.0)
    assert sorted(int(8 * observation.config["x"]) for observation in design) == list(range(8))


def test_the_design_goes_on_while_nothing_has_finished():
    space = Space({"x": Uniform(0, 1)})
    searcher, pending = BayesSearcher(space, 3, initial=2), []
    for _ in range(16):
        pending.append(searcher.suggest([], pending))
    assert sorted(int(16 * config["x"]) for config in pending) == list(range(16))


def test_a_small_space_is_searched_whole_for_the_best_of_the_rest():
    space = Space({"x": Int(0, 40)})
    done = search(BayesSearcher(space, 0), trials=16, measure=lambda c: abs(c["x"] - 31))
    assert best(done) == 0


def observed(count, seed=0, **more):
    rng = np.random.default_rng(seed)
    return [
        Observation(config=config, loss=loss(config), **more) for config in (MIXED.sample(rng) for _ in range(count))
    ]


@pytest.mark.parametrize("rungs", [(), (1, 3, 9)])
def test_what_is_kept_only_saves_time(rungs):
    """A searcher that has seen the search grow, in any order, proposes what a fresh one does."""
    finished = [
        Observation(config=o.config, loss=o.loss, budget=e, curve=(o.loss,) * e, cost=1.0)
        for o, e in zip(observed(40), [1, 1, 3, 1, 9] * 8, strict=True)
    ]
    kept = BayesSearcher(MIXED, 5, rungs=rungs)
    for count in (9, 12, 13, 20, 40, 30, 16):
        running = [
            Observation(config=o.config, loss=o.loss, budget=1, curve=(9.0,)) for o in finished[count - 3 : count]
        ]
        done, pending = [*finished[: count - 3], *running], [o.config for o in running]
        assert kept.suggest(done, pending) == BayesSearcher(MIXED, 5, rungs=rungs).suggest(done, pending)


def test_earlier_runs_inform_but_may_be_repeated():
    space = Space({"x": Int(0, 20)})
    prior = [Observation(config={"x": x}, loss=abs(x - 13.2), prior=True) for x in range(21)]
    assert BayesSearcher(space, 0).suggest(prior, []) == {"x": 13}
    own = [Observation(config={"x": 13}, loss=0.2)]
    assert BayesSearcher(space, 0).suggest(prior + own, [])["x"] in (12, 14)
    assert BayesSearcher(space, 0).suggest(prior, [{"x": 13}])["x"] in (12, 14)


def test_seconds_count_when_asked_for():
    space = Space({"x": Uniform(0, 1), "size": Uniform(0, 1)})
    rng = np.random.default_rng(0)
    done = [
        Observation(config=c, loss=(c["x"] - 0.5) ** 2, cost=math.exp(4 * c["size"]))
        for c in (space.sample(rng) for _ in range(30))
    ]
    frugal = [BayesSearcher(space, s, per_second=True).suggest(done, [])["size"] for s in SEEDS]
    assert np.mean(frugal) < 0.2


def test_a_mean_over_noisy_repeats_is_trusted_less():
    """The best loss by far is one of great variance: without it the search goes there, with it elsewhere."""
    done = [Observation(config={"x": x}, loss=4 * (x - 0.3) ** 2) for x in np.linspace(0, 1, 16).tolist()]

    def proposal(variance):
        lucky = Observation(config={"x": 0.9}, loss=-0.2, repeats=3, variance=variance)
        return BayesSearcher(Space({"x": Uniform(0, 1)}), 0).suggest([*done, lucky], [])["x"]

    assert abs(proposal(math.nan) - 0.9) < abs(proposal(4.0) - 0.9)


def test_thousands_of_observations_and_pending_trials_are_no_obstacle():
    done, pending = observed(2000), [o.config for o in observed(300, seed=1)]
    proposal = BayesSearcher(MIXED, 0, rungs=(1, 3, 9)).suggest(done, pending)
    assert MIXED.contains(proposal)
    assert loss(proposal) < np.quantile([o.loss for o in done], 0.02)


@pytest.mark.parametrize(
    ("best", "least", "most"), [({0: 0.0}, 5, 20), ({39: 0.0}, 0, 0), ({0: 0.01, 20: 0.005, 39: 0.0}, 5, 20)]
)
def test_a_search_that_is_stuck_goes_on_with_the_design_now_and_then(best, least, most):
    rng = np.random.default_rng(0)
    losses = [best.get(n, 1 + 0.01 * rng.random()) for n in range(40)]
    done = [Observation(config=MIXED.sample(rng), loss=loss) for loss in losses]
    designed = 0
    for seed in range(30):
        all_design = BayesSearcher(MIXED, seed, initial=1000)
        designed += BayesSearcher(MIXED, seed).suggest(done, []) == all_design.suggest(done, [])
    assert least <= designed <= most
