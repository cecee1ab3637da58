"""Spaces: conditions, grids, validation."""

import numpy as np
import pytest

from search_spaces import Choice, Constant, Grid, Int, Space, SpaceError, Uniform, When

NESTED = Space(
    {
        "model": Choice(["linear", "net"]),
        "depth": When(Int(1, 2), {"model": "net"}),
        "dropout": When(Grid([0.1, 0.5]), {"depth": 2}),
        "seed": 7,
    }
)
NESTED_GRID = [
    {"model": "linear", "seed": 7},
    {"model": "net", "depth": 1, "seed": 7},
    {"model": "net", "depth": 2, "dropout": 0.1, "seed": 7},
    {"model": "net", "depth": 2, "dropout": 0.5, "seed": 7},
]


def test_a_scalar_stands_for_a_constant():
    assert Space({"epochs": 27}) == Space({"epochs": Constant(27)})


def test_spaces_in_another_order_are_not_equal():
    assert Space({"a": 1, "b": 2}) != Space({"b": 2, "a": 1})


def test_the_grid_has_every_active_combination_once_in_order():
    assert list(NESTED.grid()) == NESTED_GRID
    assert NESTED.size == 4


def test_the_size_of_independent_parameters_is_the_product_without_counting():
    space = Space({"a": Int(1, 10**9), "b": Int(1, 10**9), "c": Choice(["x", "y"]), "d": When(Int(1, 3), {"c": "x"})})
    assert space.size == 10**18 * (3 + 1)


def test_a_grid_over_a_continuum_names_the_parameter():
    space = Space({"a": Int(1, 2), "lr": Uniform(0, 1)})
    assert space.size is None
    with pytest.raises(SpaceError, match=r"^parameters\.lr: must have finitely many values .*use Grid"):
        space.grid()


def test_sampling_reaches_every_branch():
    rng = np.random.default_rng(0)
    seen = [NESTED.sample(rng) for _ in range(100)]
    assert all(config in seen for config in NESTED_GRID)
    assert all(config in NESTED_GRID for config in seen)


def test_a_parameter_below_a_switched_off_one_is_off_too():
    config = {"model": "linear", "depth": 2, "dropout": 0.5, "seed": 7}
    assert NESTED.active(config) == {"model": "linear", "seed": 7}


def test_one_condition_of_several_is_not_enough():
    space = Space({"a": Choice([1, 2, 3]), "b": Choice(["x", "y"]), "c": When(Int(1, 2), {"a": (1, 2), "b": "x"})})
    assert "c" in space.active({"a": 2, "b": "x", "c": 1})
    assert "c" not in space.active({"a": 3, "b": "x", "c": 1})
    assert "c" not in space.active({"a": 1, "b": "y", "c": 1})


def test_one_is_not_true_in_a_condition():
    space = Space({"a": Choice([True, 2]), "b": When(Int(1, 2), {"a": True})})
    assert "b" in space.active({"a": True, "b": 1})
    with pytest.raises(SpaceError, match=r"^parameters\.b\.when\.a: must be in Choice"):
        Space({"a": Choice([True, 2]), "b": When(Int(1, 2), {"a": 1})})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "net", "depth": 1}, "^seed: must be set, but got no value$"),
        (
            {"model": "linear", "depth": 1, "seed": 7},
            "^depth: must be left out, its condition does not hold, but got 1$",
        ),
        ({"model": "net", "depth": 3, "seed": 7}, r"^depth: must be in Int\(low=1, high=2\), but got 3$"),
        ({"model": "nets", "seed": 7}, "but got 'nets'; did you mean 'net'?"),
        (
            {"model": "linear", "sead": 7},
            "^sead: must be a parameter of the space, but got 'sead'; did you mean 'seed'",
        ),
    ],
)
def test_validation_names_the_parameter_the_rule_and_the_value(config, message):
    with pytest.raises(SpaceError, match=message):
        NESTED.validate(config)
    assert not NESTED.contains(config)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "^parameters: must map names to domains"),
        ({"a": [1, 2]}, r"^parameters\.a: must be a domain or a scalar, but got \[1, 2\]"),
        ({"a..b": 1}, "^parameters: a name must be text in dotted parts, but got 'a..b'"),
        ({1: 1}, "^parameters: a name must be text"),
        ({"a": 1, "a.b": 2}, r"^parameters\.a: must not be a parameter and a group of parameters \(a\.b\)"),
        (
            {"b": When(Int(1, 2), {"a": 1}), "a": Int(1, 2)},
            r"^parameters\.b\.when: must name an earlier parameter, but got 'a'",
        ),
        ({"name": Choice(["x"]), "b": When(Int(1, 2), {"nam": "x"})}, "but got 'nam'; did you mean 'name'?"),
        ({"a": Choice(["sgd"]), "b": When(Int(1, 2), {"a": "sgdd"})}, "but got 'sgdd'; did you mean 'sgd'?"),
        ({"a": Uniform(0, 1), "b": When(Int(1, 2), {"a": 0.5})}, "must name a parameter with finitely many values"),
    ],
)
def test_a_space_that_makes_no_sense_says_where(parameters, message):
    with pytest.raises(SpaceError, match=message):
        Space(parameters)


def test_corners_show_every_value_of_a_small_domain_and_both_ends_of_a_large_one_where_they_count():
    space = Space(
        {
            "name": Choice(list("abcdefgh")),
            "lr": Uniform(0, 1),
            "momentum": When(Uniform(-1, 1), {"name": ("c", "h")}),
            "depth": When(Int(1, 2), {"name": "h"}),
            "nested": When(Grid([0.1, 0.5]), {"depth": 2}),
        }
    )
    seen = list(space.corners())
    assert all(space.contains(config) for config in seen)
    assert {config["name"] for config in seen} == set("abcdefgh")
    assert {(config["name"], config.get("momentum")) for config in seen} >= {(n, m) for n in "ch" for m in (-1, 1)}
    assert {config.get("nested") for config in seen} == {None, 0.1, 0.5}
    assert {0, 1} <= {config["lr"] for config in seen}
    assert list(space.corners()) == seen


def test_switched_off_parameters_sit_in_the_middle_of_the_cube():
    assert NESTED.to_unit({"model": "linear", "seed": 7}).tolist() == [0.25, 0.5, 0.5, 0.5]


def test_only_points_of_the_cube_become_configurations():
    with pytest.raises(SpaceError, match="point: must be 4 numbers"):
        NESTED.from_unit([0.5])
    with pytest.raises(SpaceError, match="point: must be 4 numbers"):
        NESTED.from_unit([0.5, 0.5, float("nan"), 0.5])
