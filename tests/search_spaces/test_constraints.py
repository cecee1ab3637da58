"""Constraints: what an expression may say, what it means, and spaces that keep them."""

import copy
import math
import pickle
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Choice, Constraint, Grid, Int, Space, SpaceError, Uniform, When, load_space
from tests.search_spaces.own_rules import broken, never, small, undecided

CONFIG = {"a": 2, "b.c": 0.5, "name": "sgd", "flag": True, "none": None}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a * 3 - 1 == 5 and b.c + b.c == 1", True),
        ("a / 4 == b.c", True),
        ("7 // a == 3 and 7 % a == 1", True),
        ("2 ** a ** 2 == 16", True),
        ("-a < +b.c <= 0.5 < a", True),
        ("1 < a < 2", False),
        ("1 < 2 < 3", True),
        ("name == 'sgd' or name > 3", True),
        ("name != 'sgd' and name > 3", False),
        ("not name in ['adam', 'rmsprop']", True),
        ("name not in ('sgd', 'adam')", False),
        ("a in [1, a]", True),
        ("min(a, b.c, 7) == 0.5 and max(a, 3) == 3 and abs(-a) == 2", True),
        ("flag", True),
        ("flag == true and none == null and flag != false", True),
        ("flag == True and none == None", True),
        ("flag == 1", False),
        ("a == 2.0", True),
        ("flag or 1 / 0 > 1", True),
        ("  a == 2  ", True),
    ],
)
def test_an_expression_means_what_python_means(text, holds):
    assert Constraint(text).holds(CONFIG) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.real",
        "(1).real == 1",
        "[a][0] == 2",
        "a if flag else a",
        "(a := 3) == 3",
        "lambda: a",
        "[x for x in [1]] == a",
        "f'{a}' == 'x'",
        "{'a': 1} == a",
        "a is None",
        "a & 1 == 0",
        "a @ a == 1",
        "~a == 1",
        "min(*[a]) == 1",
        "min() == 1",
        "min(a, key=abs) == 1",
        "sum(a) == 1",
        "a in b.c",
        "a in 'sgd'",
        "1j == a",
        "b'x' == a",
        "... == a",
        "a == 1; b == 2",
        "a = 1",
        "a <",
        "",
        "'" * 3,
        "a == 1 #" + "x" * 500,
        "(" * 240 + "a" + ")" * 240,
        "-" * 499 + "a",
        "\0",
        "class == 1",
    ],
)
def test_nothing_else_can_be_written(text):
    parameters = {"a": Int(1, 3), "b.c": Uniform(0, 1), "flag": Choice([True, False])}
    with warnings.catch_warnings(), pytest.raises(SpaceError, match=r"^constraints\.0: "):
        Space(parameters, [text])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / (a - 2) > 0", r"'1 / \(a - 2\) > 0' must be true or false, but raised ZeroDivisionError"),
        ("name * 3 == 'x'", "raised TypeError: 'sgd' is not a number for {'name': 'sgd'}"),
        ("'x' * 10 ** 9 == name", "raised TypeError: 'x' is not a number"),
        ("name < 'x'", "'sgd' is not a number"),
        ("flag + 1 == 2", "True is not a number"),
        ("a", "must be true or false, but gave 2"),
        ("a and flag", "2 is neither true nor false"),
        ("not name", "'sgd' is neither true nor false"),
        ("9 ** 9 ** 9 > a", "an exponent is beyond 64"),
        ("(9e9 ** 64) > a", "raised OverflowError"),
        ("((10 ** 64) ** 64) > a", "a number is too large"),
        ("1e308 * 10 > a", "a number is too large"),
        ("(-1) ** 0.5 > a", "a root of a negative number"),
        ("0 ** -1 > a", "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_evaluated_is_told_with_the_expression_and_the_values(text, message):
    with pytest.raises(SpaceError, match=message):
        Constraint(text).holds(CONFIG)


OPERATORS = ["+", "-", "*", "/", "//", "%", "**"]
numbers = st.integers(-5, 5) | st.floats(-5, 5)


@given(
    st.recursive(
        st.sampled_from(["a", "b"]) | numbers.map(repr),
        lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner),
        max_leaves=8,
    ),
    numbers,
    numbers,
)
def test_arithmetic_is_that_of_python_or_an_error(text, a, b):
    try:
        expected = bool(eval(f"{text} <= 1", {"a": a, "b": b}))
    except (ArithmeticError, TypeError):
        expected = None
    if expected is None:
        with pytest.raises(SpaceError):
            Constraint(f"{text} <= 1").holds({"a": a, "b": b})
        return
    try:
        got = Constraint(f"{text} <= 1").holds({"a": a, "b": b})
    except SpaceError as error:
        got = expected if isinstance(error.__cause__, OverflowError) else None
    assert got is expected


SPACE = Space({"a": Int(1, 4), "b": Int(1, 4), "c": When(Grid([1, 2]), {"a": 1})}, ["a * b <= 4", "b + c != 3"])
ALLOWED = [
    {"a": 1, "b": 1, "c": 1},
    {"a": 1, "b": 2, "c": 2},
    {"a": 1, "b": 3, "c": 1},
    {"a": 1, "b": 3, "c": 2},
    {"a": 1, "b": 4, "c": 1},
    {"a": 1, "b": 4, "c": 2},
    {"a": 2, "b": 1},
    {"a": 2, "b": 2},
    {"a": 3, "b": 1},
    {"a": 4, "b": 1},
]


def test_the_grid_holds_what_is_allowed_and_is_counted():
    assert list(SPACE.grid()) == ALLOWED
    assert SPACE.size == 10
    assert Space(SPACE.parameters) != SPACE


def test_a_grid_is_made_anew_each_time():
    next(SPACE.grid())["a"] = 9
    assert list(SPACE.grid()) == ALLOWED


def test_what_is_sampled_is_allowed_and_all_that_is_allowed_is_sampled():
    rng = np.random.default_rng(0)
    seen = [SPACE.sample(rng) for _ in range(300)]
    assert all(config in ALLOWED for config in seen)
    assert all(config in seen for config in ALLOWED)


def test_an_expression_about_what_is_switched_off_holds():
    space = Space({"name": Choice(["sgd", "adam"]), "m": When(Grid([0.0, 0.9]), {"name": "sgd"})}, ["m > 0"])
    assert list(space.grid()) == [{"name": "sgd", "m": 0.9}, {"name": "adam"}]


def test_validation_names_the_constraint_and_the_values_it_is_about():
    with pytest.raises(SpaceError, match=r"^constraints: 'a \* b <= 4' must hold, but got {'a': 3, 'b': 2}$"):
        SPACE.validate({"a": 3, "b": 2})
    assert not SPACE.contains({"a": 3, "b": 2})
    assert not SPACE.allows({"a": 3, "b": 2})


def test_corners_are_allowed_and_there_is_one():
    corners = list(SPACE.corners())
    assert all(SPACE.contains(config) for config in corners)
    assert {config["a"] for config in corners} == {config["b"] for config in corners} == {1, 2, 3, 4}
    inner = Space({"x": Uniform(0, 1), "y": Uniform(0, 1)}, ["0.1 < x < 0.2", "0.1 < y < 0.2"])
    assert [config for config in inner.corners() if inner.contains(config)]


def test_a_grid_asks_a_constraint_as_soon_as_its_parameters_are_set():
    space = Space({"a": Int(1, 10**4), "b": Int(1, 10**4), "c": Int(1, 10**4)}, ["a > 5000", "b >= a"])
    assert next(space.grid()) == {"a": 5001, "b": 5001, "c": 1}


def test_one_configuration_in_many_is_found_in_a_space_that_is_counted():
    space = Space({"a": Int(1, 140), "b": Int(1, 140)}, ["a == 77 and b == 3"])
    assert space.size == 1
    assert space.sample(np.random.default_rng(0)) == {"a": 77, "b": 3}


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (["a > 4"], r"^constraints: must allow one configuration, but got \['a > 4'\]"),
        (["a > 1", never], "must allow one configuration, but got .*own_rules:never"),
        (["aa > 1"], r"^constraints\.0: 'aa > 1' must name parameters of the space, but got 'aa'; did you mean 'a'\?"),
        (["a > 0", "a <"], r"^constraints\.1: must be an expression, but invalid syntax in 'a <'"),
        (["a / 0 > 1"], r"^constraints\.0: 'a / 0 > 1' must be true or false, but raised ZeroDivisionError"),
        (
            [broken],
            r"own_rules:broken' must be true or false, but raised KeyError: 'a' \(.*own_rules\.py:\d+\) for {'a'",
        ),
        ([undecided], "own_rules:undecided' must be true or false, but gave None"),
        ([5], r"^constraints\.0: must be an expression, a function .*, but got 5"),
        ("a > 1", "^constraints: must be a list of expressions or functions, but got 'a > 1'"),
        (None, "^constraints: must be a list of expressions or functions, but got None"),
    ],
)
def test_constraints_that_make_no_sense_say_so(constraints, message):
    with pytest.raises(SpaceError, match=message):
        Space({"a": Int(1, 4), "b": Int(1, 4)}, constraints)


def test_a_continuum_of_which_nothing_is_allowed_is_refused():
    with pytest.raises(
        SpaceError, match=r"^constraints: must allow one of 10000 configurations drawn, but got \['x > 2'"
    ):
        Space({"x": Uniform(0, 1)}, ["x > 2"])


def test_a_function_is_written_by_its_path_and_read_back():
    space = Space({"a": Int(1, 4), "b": Int(1, 4)}, [small, "a != b"])
    form = space.to_dict()
    assert form["constraints"] == ["tests.search_spaces.own_rules:small", "a != b"]
    again = load_space(form)
    assert again == space
    assert list(again.grid()) == list(space.grid())
    assert all(config["a"] * config["b"] <= 4 for config in again.grid())


def test_a_function_that_cannot_be_found_again_serves_a_space_but_has_no_form():
    def local(config):
        return config["a"] > 1

    for rule in (local, lambda config: config["a"] > 1):
        space = Space({"a": Int(1, 4)}, [rule])
        assert space.size == 3
        with pytest.raises(SpaceError, match=r"^constraints\.0: a function must be at the top level of a module"):
            space.to_dict()


def test_reading_a_space_imports_nothing_and_asking_it_does(tmp_path, monkeypatch):
    (tmp_path / "unread_rules.py").write_text("def odd(config):\n    return config['a'] % 2 == 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    space = load_space({"parameters": {"a": {"int": [1, 4]}}, "constraints": ["unread_rules:odd"]})
    assert not space.is_loaded
    assert {config["a"] for config in space.corners()} == {1, 2, 3, 4}
    assert "unread_rules" not in sys.modules
    space.check()
    assert space.is_loaded
    assert [config["a"] for config in space.grid()] == [1, 3]
    del sys.modules["unread_rules"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module_of_mine:f", r"^constraints\.0: 'no_such_module_of_mine:f' cannot be imported: Module"),
        ("tests.search_spaces.own_rules:smal", "has none of that name; did you mean 'small'"),
        ("tests.search_spaces.own_rules:THRESHOLD", "must name a function"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_when_it_is_asked(path, message):
    space = Space({"a": Int(1, 2)}, [])
    with pytest.raises(SpaceError, match=message):
        Space(space.parameters, [path]).check()


def test_constraints_can_be_copied_and_pickled():
    space = Space({"a": Int(1, 4), "b": Int(1, 4)}, [small, "a != b"])
    assert copy.deepcopy(space) == pickle.loads(pickle.dumps(space)) == space


class Unsaid(Exception):
    def __str__(self):
        raise SystemExit(3)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a \udce9\n\x00 b"), r"raised ValueError: a \\udce9 \\x00 b \(.*test_constraints\.py:\d+\) for"),
        (Unsaid(), r"raised Unsaid \(.*test_constraints\.py:\d+\) for"),
        (SystemExit("no"), r"raised SystemExit: no \(.*test_constraints\.py:\d+\) for"),
    ],
)
def test_whatever_a_rule_raises_is_told_in_a_line_that_can_be_printed(error, message):
    def rule(config):
        raise error

    with pytest.raises(SpaceError, match=message) as caught:
        Space({"a": Int(1, 2)}, [rule]).check()
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("clip * 2 > 1", True),
        ("-clip < 0", True),
        ("max(clip, 1) == clip", True),
        ("widths == [16, 32]", True),
        ("widths != (16, 32)", True),
        ("widths in [[16], [16, 32]]", True),
        ("widths == [16, 33]", False),
    ],
)
def test_rules_take_infinities_and_lists(rule, holds):
    assert Constraint(rule).holds({"clip": math.inf, "widths": [16, 32]}) is holds


def test_a_result_that_is_no_number_is_an_error():
    with pytest.raises(SpaceError, match="raised ArithmeticError: a result is not a number"):
        Constraint("clip - clip > 0").holds({"clip": math.inf})
