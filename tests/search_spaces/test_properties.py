"""What holds for every space: whatever it samples is valid, plain data, and maps to the unit cube and back."""

import json
import math

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from search_spaces import Choice, Constant, Grid, Int, LogInt, LogUniform, Space, SpaceError, Uniform, When, load_space

numbers = st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9)
scalars = st.text(max_size=5) | st.booleans() | st.none() | numbers


@st.composite
def ranges(draw, kind, bounds):
    low, high = draw(st.tuples(bounds, bounds))
    try:
        return kind(low, high)
    except SpaceError:
        assume(False)


finite = st.one_of(
    st.builds(Constant, scalars),
    st.builds(Choice, st.lists(scalars, min_size=1, max_size=4, unique=True)),
    st.builds(Grid, st.lists(numbers, min_size=1, max_size=4, unique=True).map(sorted)),
    ranges(Int, st.integers(-3, 3)),
    ranges(LogInt, st.integers(1, 9)),
)
domains = st.one_of(
    finite,
    ranges(Int, st.integers(-(2**40), 2**40)),
    ranges(LogInt, st.integers(1, 2**40)),
    ranges(Uniform, st.floats(allow_nan=False, allow_infinity=False)),
    ranges(LogUniform, st.floats(1e-300, 1e300)),
)


@st.composite
def rules(draw, parameters):
    """A constraint on one or two of the parameters that most configurations keep."""
    name, other = (draw(st.sampled_from(list(parameters))) for _ in range(2))
    value = plain(parameters[name]).from_unit(draw(st.floats(0, 1)))
    if isinstance(value, int | float) and not isinstance(value, bool) and plain(parameters[name]).form != "choice":
        return f"{name} {draw(st.sampled_from(['<=', '>=', '!=']))} {value!r}"
    return f"{name} != {value!r} or {other} == {other} and not {name} in [{value!r}]"


@st.composite
def spaces(draw, kinds=domains):
    """Up to six parameters, each perhaps under conditions on earlier ones, so that conditions nest; perhaps rules."""
    parameters = {}
    for name in draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True)):
        domain = draw(kinds)
        parents = [key for key, p in parameters.items() if plain(p).size is not None]
        chosen = draw(st.lists(st.sampled_from(parents), max_size=2, unique=True)) if parents else []
        conditions = {key: draw(wanted(plain(parameters[key]))) for key in chosen}
        parameters[name] = When(domain, conditions) if conditions else domain
    constraints = draw(st.lists(rules(parameters), max_size=2)) if draw(st.booleans()) else []
    try:
        return Space(parameters, constraints)
    except SpaceError as error:
        assume("must allow one" not in str(error))
        raise


def plain(parameter):
    return parameter.domain if isinstance(parameter, When) else parameter


def wanted(domain):
    return st.lists(st.integers(0, domain.size - 1), min_size=1, max_size=3).map(
        lambda indices: [domain.values()[i] for i in indices]
    )


def close(a, b):
    same = a == b and type(a) is type(b)
    return same or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9))


@given(spaces(), st.integers(0, 2**32))
def test_what_is_sampled_is_valid_and_plain(space, seed):
    config = space.sample(np.random.default_rng(seed))
    space.validate(config)
    assert space.active(config) == config
    assert all(type(value) in (str, bool, int, float, type(None)) for value in config.values())
    assert json.loads(json.dumps(config)) == config
    assert yaml.safe_load(yaml.safe_dump(config)) == config


@given(spaces())
def test_a_space_survives_json_and_yaml(space):
    assert load_space(space.to_dict()) == space
    assert load_space(json.loads(json.dumps(space.to_dict()))) == space
    assert load_space(yaml.safe_load(yaml.safe_dump(space.to_dict(), sort_keys=False))) == space


@given(spaces(), st.integers(0, 2**32))
def test_a_configuration_maps_to_the_cube_and_back(space, seed):
    config = space.sample(np.random.default_rng(seed))
    point = space.to_unit(config)
    assert point.shape == (len(space),)
    assert point.dtype == np.float64
    assert ((point >= 0) & (point <= 1)).all()
    back = space.from_unit(point)
    assert list(back) == list(config)
    for name, domain in space.domains.items():
        if name in config and domain.size is not None:
            assert close(back[name], config[name])
    np.testing.assert_allclose(space.to_unit(back), point, atol=1e-9)


@given(st.data())
def test_every_point_of_the_cube_is_a_valid_configuration_if_it_is_allowed(data):
    space = data.draw(spaces())
    point = data.draw(npst.arrays(np.float64, len(space), elements=st.floats(0, 1)))
    config = space.from_unit(point)
    Space(space.parameters).validate(config)
    assert space.contains(config) == space.allows(config)


@given(spaces())
def test_corners_are_valid_and_there_is_one(space):
    corners = list(space.corners())
    assert corners
    for config in corners:
        space.validate(config)


@given(spaces(finite))
def test_the_grid_holds_size_different_valid_configurations(space):
    grid = list(space.grid())
    assert len(grid) == space.size == len({frozenset(config.items()) for config in grid})
    for config in grid:
        space.validate(config)


@given(domains)
def test_values_of_a_finite_domain_come_back_exactly(domain):
    if domain.size is None:
        with pytest.raises(SpaceError, match="use Grid"):
            domain.values()
    else:
        ends = [*domain.values()[:3], domain.values()[-1]]
        assert all(close(domain.from_unit(domain.to_unit(value)), value) for value in ends)
