"""A run that is resumed in another space goes on learning from what fits it."""

import pytest

from orchestrator.carry_over import CarriedOver, carry_over
from orchestrator.changes import changed
from orchestrator.record import Record
from orchestrator.search import sweep_searcher
from orchestrator.searchers import RandomSearcher
from orchestrator.searchers.bayes import BayesSearcher

X, Y, Z = {"uniform": [0, 1]}, {"uniform": [0, 1]}, {"uniform": [0, 1]}
OPTION = {"choice": ["a", "b"]}


@pytest.fixture
def own(tiny):
    """A sweep of one's own loop over x and y, that fixes z at 0.25, and 24 observations of it, best at x = 0.8."""
    train = {"loop": "nowhere:train", "arguments": {"z": 0.25, "option": "c"}, "epochs": 1}
    search = {"name": "bayes", "trials": 60}
    sweep = tiny(train=train, metric="loss", mode="min", asha=None, search=search, space=space(x=X, y=Y))
    record = Record("loss", 1.0)
    record.begin_session(1)
    rows = RandomSearcher(sweep.space, 1)
    for _ in range(24):
        trial = record.propose(rows.suggest(record.observations(), [])).id
        x = record.trials[trial].config["x"]
        metrics = {"epoch": 1, "metrics": {"loss": (x - 0.8) ** 2}, "seconds": 1.0}
        record.report(trial, {**metrics, "timing": {}, "node": "", "finished": True})
        record.end(trial, "completed")
    return sweep, record


def space(**parameters):
    return {"parameters": parameters}


def resumed(sweep, **parameters):
    return changed(sweep, {"space": space(**parameters)})


@pytest.mark.parametrize(
    ("parameters", "added"),
    [({"x": X}, {}), ({"x": X, "y": Y, "z": Z}, {"z": 0.25}), ({"x": X, "z": Z}, {"z": 0.25})],
)
def test_what_is_shown_in_another_space_is_in_the_terms_of_the_new(own, parameters, added):
    sweep, record = own
    after = resumed(sweep, **parameters)
    carried = carry_over(RandomSearcher(after.space), after).carried(record.observations())
    for before, now in zip(record.observations(), carried, strict=True):
        kept = {name: value for name, value in before.config.items() if name in parameters}
        assert now.config == {**kept, **added}
        assert (now.loss, now.prior, now.complete) == (before.loss, True, True)
        assert after.space.contains(now.config)
    assert carry_over(RandomSearcher(after.space), after).count(record.observations()) == (24, 24)


@pytest.mark.parametrize("parameters", [{"x": X}, {"x": X, "y": Y, "z": Z}])
def test_the_search_goes_on_from_it(own, parameters):
    """All proposals are near the best x; without what the run has shown, the search begins with its design."""
    sweep, record = own
    after = resumed(sweep, **parameters)
    searcher = sweep_searcher(after)
    proposals = []
    for _ in range(3):
        proposals.append(searcher.suggest(record.observations(), proposals))
    assert all(after.space.contains(config) for config in proposals)
    assert min(abs(config["x"] - 0.8) for config in proposals) < 0.05
    fresh = BayesSearcher(after.space, after.seed)
    assert proposals[0] != fresh.suggest(record.observations(), [])


def test_what_is_outside_the_new_bounds_or_wants_another_value_does_not_fit(own):
    sweep, record = own
    narrow = resumed(sweep, x={"uniform": [0, 0.5]}, y=Y)
    inside = sum(seen.config["x"] <= 0.5 for seen in record.observations())
    assert 0 < inside < 24
    assert carry_over(RandomSearcher(narrow.space), narrow).count(record.observations()) == (0, 24 - inside)
    other = resumed(sweep, x=X, y=Y, option=OPTION)
    assert carry_over(RandomSearcher(other.space), other).count(record.observations()) == (0, 24)


def test_the_same_observations_are_the_same_objects_again(own):
    """By which a searcher sees that there is nothing to encode again."""
    sweep, record = own
    after = resumed(sweep, x=X)
    carrying = carry_over(RandomSearcher(after.space), after)
    first, second = (carrying.carried(record.observations()) for _ in range(2))
    assert all(one is two for one, two in zip(first, second, strict=True))
    inside = CarriedOver(RandomSearcher(sweep.space), sweep.space, {})
    same = zip(inside.carried(record.observations()), record.observations(), strict=True)
    assert all(one is two for one, two in same)


def test_what_comes_from_the_new_space_is_not_proposed_again(own):
    sweep, record = own
    after = resumed(sweep, x={"grid": [0.0, 0.8]})
    searcher, proposed = sweep_searcher(after), []
    while (config := searcher.suggest(record.observations(), [])) is not None:
        trial = record.propose(config).id
        record.end(trial, "failed")
        proposed.append(config)
    assert sorted(config["x"] for config in proposed) == [0.0, 0.8]
