"""The contract of every searcher. A new one is a line in SEARCHERS_UNDER_TEST."""

import json
import math
import warnings

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.searchers import (
    SEARCHERS,
    GridSearcher,
    Observation,
    RandomSearcher,
    Searcher,
    make_searcher,
)
from orchestrator.searchers.bayes import BayesSearcher
from search_spaces import Choice, Constant, Grid, Int, LogInt, LogUniform, Space, Uniform, When, to_yaml

SEARCHERS_UNDER_TEST = {
    "grid": GridSearcher,
    "random": lambda space: RandomSearcher(space, seed=1),
    "bayes": lambda space: BayesSearcher(space, seed=1),
    "bayes without a design": lambda space: BayesSearcher(space, seed=1, initial=0),
}
FINITE = {
    "choice": Space({"x": Choice(["a", "b", None, True, 2.5])}),
    "grid": Space({"x": Grid([0, 0.5, 2, 16])}),
    "int": Space({"x": Int(-2, 3)}),
    "log_int": Space({"x": LogInt(1, 8)}),
    "constant": Space({"x": Constant("only")}),
    "mixed": Space({"a": Choice(["x", "y"]), "b": Int(1, 3), "c": Grid([0.1, 1.0]), "d": 7}),
    "conditional": Space(
        {
            "model": Choice(["linear", "net"]),
            "depth": When(Int(1, 2), {"model": "net"}),
            "dropout": When(Grid([0.1, 0.5]), {"depth": 2}),
        }
    ),
    "constrained": Space(
        {"a": Int(1, 4), "b": Int(1, 4), "c": When(Grid([1, 2]), {"a": 1})}, ["a * b <= 4", "b + c != 3"]
    ),
    "one of many": Space({"a": Int(1, 100), "b": Int(1, 100)}, ["a == 77 and b == 3"]),
}
INFINITE = {
    "uniform": Space({"x": Uniform(-1, 1)}),
    "log_uniform": Space({"x": LogUniform(1e-5, 1)}),
    "everything": Space(
        {
            "optimizer.name": Choice(["sgd", "adam", None]),
            "optimizer.lr": LogUniform(1e-4, 1),
            "optimizer.momentum": When(Uniform(0, 0.99), {"optimizer.name": "sgd"}),
            "optimizer.nesterov": When(Choice([True, False]), {"optimizer.name": "sgd"}),
            "width": LogInt(1, 512),
            "depth": Int(1, 4),
            "batch_size": Grid([16, 64, 256]),
            "epochs": 27,
        }
    ),
    "finite in one branch": Space({"a": Choice(["x", "y"]), "b": When(Uniform(0, 1), {"a": "x"})}),
    "constrained continuum": Space(
        {
            "width": LogInt(1, 512),
            "depth": Int(1, 8),
            "name": Choice(["sgd", "adam"]),
            "momentum": When(Uniform(-1, 1), {"name": "sgd"}),
        },
        ["width * depth <= 64", "momentum > 0"],
    ),
}
HUGE = {
    "huge": Space({"a": Int(1, 1000), "b": Int(1, 1000)}),
    "huge and constrained": Space({"a": Int(1, 1000), "b": Int(1, 1000)}, ["a % 7 == 0 or a > b"]),
}
LOSSES = {
    "failed": lambda n: [math.nan, math.inf, -math.inf][n % 3],
    "mostly failed": lambda n: 0.5 if n == 0 else math.nan,
    "half failed": lambda n: math.inf if n % 2 else float(n),
    "all equal": lambda n: 1.0,
    "enormous": lambda n: 1e300 * (-1) ** n,
    "tiny": lambda n: 5e-324 * n,
}


@pytest.fixture(params=SEARCHERS_UNDER_TEST)
def name(request) -> str:
    return request.param


@pytest.fixture
def make(name):
    return SEARCHERS_UNDER_TEST[name]


def spaces_for(name: str) -> dict[str, Space]:
    return FINITE | HUGE if name == "grid" else FINITE | HUGE | INFINITE


def loss_of(config) -> float:
    """Some loss that depends on everything in the configuration."""
    return float(np.random.default_rng(list(json.dumps(config).encode())).normal())


def walk(searcher: Searcher, steps: int, loss=lambda n, config: loss_of(config), at_once: int = 3):
    """Propose up to `steps` times with some proposals always pending; all that was proposed, in order."""
    proposed, done = [], []
    for _ in range(steps):
        config = searcher.suggest(tuple(done), tuple(proposed[len(done) :]))
        if config is None:
            break
        proposed.append(config)
        if len(proposed) - len(done) >= at_once:
            finished = proposed[len(done)]
            done.append(Observation(config=finished, loss=loss(len(done), finished)))
    return proposed


def test_every_searcher_the_package_offers_is_under_test():
    space = FINITE["mixed"]
    offered = {type(make_searcher(name, space, 0)) for name in SEARCHERS}
    assert offered == {type(make(space)) for make in SEARCHERS_UNDER_TEST.values()}


@pytest.mark.parametrize("case", FINITE | HUGE | INFINITE)
def test_proposals_are_valid_new_and_plain(name, make, case):
    space = spaces_for(name).get(case)
    if space is None:
        pytest.skip("a grid has no continuum")
    proposed = walk(make(space), steps=16)
    assert len(proposed) == min(16, space.size or 16)
    for n, config in enumerate(proposed):
        space.validate(config)
        assert config not in proposed[:n]
        assert all(type(value) in (str, bool, int, float, type(None)) for value in config.values())
        assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize("case", ["mixed", "conditional", "constrained", "constrained continuum"])
@pytest.mark.parametrize("searcher", SEARCHERS)
def test_first_guesses_come_first_and_then_what_the_searcher_proposes(searcher, case):
    space = (FINITE | INFINITE)[case]
    if searcher == "grid" and space.size is None:
        pytest.skip("a grid has no continuum")
    rng = np.random.default_rng(5)
    guesses = [space.sample(rng) for _ in range(3)]
    different = [config for n, config in enumerate(guesses) if config not in guesses[:n]]
    proposed = walk(make_searcher(searcher, space, 1, start=guesses), steps=8)
    assert proposed[: len(different)] == different
    assert all(config not in proposed[:n] and space.contains(config) for n, config in enumerate(proposed))
    assert len(proposed) == min(8, space.size or 8)


@pytest.mark.parametrize("case", ["mixed", "constrained"])
def test_what_an_earlier_run_has_tried_may_be_proposed_again(make, case):
    space = FINITE[case]
    earlier = [Observation(config=config, loss=loss_of(config), prior=True) for config in space.grid()]
    searcher, proposed = make(space), []
    while (
        config := searcher.suggest([*earlier, *(Observation(config=c, loss=0.5) for c in proposed)], [])
    ) is not None:
        assert config not in proposed
        proposed.append(config)
    assert len(proposed) == space.size


@settings(max_examples=40)
@given(st.sampled_from(sorted(FINITE | HUGE | INFINITE)), st.sampled_from(["random", "bayes"]), st.integers(0, 99))
def test_a_proposal_survives_yaml_and_json_and_maps_to_the_cube_and_back(case, searcher, seed):
    space = (FINITE | HUGE | INFINITE)[case]
    for config in walk(make_searcher(searcher, space, seed), steps=3):
        assert yaml.safe_load(to_yaml(config)) == json.loads(json.dumps(config)) == config
        point = space.to_unit(config)
        assert ((point >= 0) & (point <= 1)).all()
        np.testing.assert_allclose(space.to_unit(space.active(space.from_unit(point))), point, atol=1e-9)


@pytest.mark.parametrize("case", FINITE)
def test_a_finite_space_is_exhausted_and_then_there_is_nothing(make, case):
    space = FINITE[case]
    proposed = walk(make(space), steps=space.size + 1)
    assert sorted(map(str, proposed)) == sorted(map(str, space.grid()))
    assert make(space).suggest([Observation(config=c, loss=1.0) for c in proposed], []) is None
    assert make(space).suggest([], proposed) is None


@pytest.mark.parametrize("case", FINITE)
def test_the_last_point_of_a_space_is_found(make, case):
    *others, last = FINITE[case].grid()
    assert make(FINITE[case]).suggest([Observation(config=c, loss=loss_of(c)) for c in others], []) == last
    assert make(FINITE[case]).suggest([], others) == last


def test_the_last_point_of_a_large_space_is_found(make):
    space = Space({"a": Int(1, 60), "b": Int(1, 60)})
    grid = list(space.grid())
    missing = grid.pop(1234)
    assert make(space).suggest([Observation(config=grid[0], loss=0.0)], grid) == missing


NARROW = {"a line": Space({"a": Int(1, 100), "b": Int(1, 100)}, ["a + b == 101"])}
"""So narrow that no point of the design is in it."""


@pytest.mark.parametrize("case", ["mixed", "everything", "constrained continuum", "a line"])
@pytest.mark.parametrize("searcher", SEARCHERS)
def test_first_proposals_follow_from_their_number_and_not_from_who_has_reported(searcher, case):
    """The design of a Bayesian search, and all of the others: trials end, or report and go on, in any order."""
    space = (FINITE | INFINITE | NARROW)[case]
    if searcher == "grid" and space.size is None:
        pytest.skip("a grid has no continuum")
    proposed = []
    for number in range(8):
        config = make_searcher(searcher, space, 1).suggest([], proposed)
        ended, running = proposed[: number // 2], proposed[number // 2 :]
        reported = [Observation(config=known, loss=loss_of(known)) for known in proposed]
        for done, pending in [(reported, []), (reported[: len(ended)], running), (reported, running)]:
            assert make_searcher(searcher, space, 1).suggest(done, pending) == config
        if config is None:
            break
        proposed.append(config)


@pytest.mark.parametrize("loss", LOSSES)
def test_strange_losses_do_no_harm(name, make, loss):
    space = spaces_for(name)["mixed" if name == "grid" else "everything"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proposed = walk(make(space), steps=12, loss=lambda n, config: LOSSES[loss](n))
    assert len(proposed) == 12


def test_a_single_observation_is_enough_to_go_on(name, make):
    space = spaces_for(name)["mixed" if name == "grid" else "everything"]
    first = make(space).suggest([], [])
    second = make(space).suggest([Observation(config=first, loss=0.3)], [])
    assert second not in (None, first)


def test_repeated_observations_are_one_point(make):
    space = FINITE["mixed"]
    config = make(space).suggest([], [])
    repeated = [Observation(config=config, loss=loss) for loss in np.linspace(0, 1, 12)]
    assert make(space).suggest(repeated, [config]) != config


def test_the_same_arguments_give_the_same_answer(name, make):
    space = spaces_for(name)["mixed" if name == "grid" else "everything"]
    proposed = walk(make(space), steps=11)
    done = [Observation(config=config, loss=loss_of(config)) for config in proposed[:9]]
    searcher = make(space)
    answer = searcher.suggest(done, proposed[9:])
    searcher.suggest(done[:3], [])
    assert searcher.suggest(done, proposed[9:]) == make(space).suggest(done, proposed[9:]) == answer


def test_a_walk_resumed_from_its_record_goes_on_as_it_would_have(name, make):
    space = spaces_for(name)["mixed" if name == "grid" else "everything"]
    searcher, record = make(space), []
    for _ in range(12):
        fresh = make(Space(space.parameters, space.constraints))
        config = fresh.suggest(json_round(record), [])
        assert config == searcher.suggest(record, [])
        record.append(Observation(config=config, loss=loss_of(config)))


def json_round(record):
    return [Observation(config=json.loads(json.dumps(o.config)), loss=o.loss) for o in record]


def test_the_arguments_and_the_global_generator_are_left_alone(name, make):
    space = spaces_for(name)["mixed" if name == "grid" else "everything"]
    proposed = walk(make(space), steps=12)
    done = [Observation(config=config, loss=loss_of(config)) for config in proposed[:10]]
    before, state = json.dumps([proposed, [o.config for o in done]]), np.random.get_state()[1].copy()
    make(space).suggest(done, proposed[10:])
    assert json.dumps([proposed, [o.config for o in done]]) == before
    assert (np.random.get_state()[1] == state).all()


def test_observations_from_outside_the_space_do_no_harm(make):
    space = FINITE["mixed"]
    foreign = [{"a": "z", "b": 99}, {"other": 1}, {}]
    done = [Observation(config=config, loss=-1e9) for config in foreign]
    done += [Observation(config=config, loss=loss_of(config)) for config in list(space.grid())[:9]]
    config = make(space).suggest(done, foreign)
    space.validate(config)
    assert config not in list(space.grid())[:9]
