"""The rule for values: which there are, when two are the same, and that they come back from JSON and YAML."""

import enum
import json
import math
from collections import OrderedDict, namedtuple
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Choice, Constant, Space, SpaceError, When, load_space, plain, read_yaml, same, to_yaml
from search_spaces.values import decode, encode, equal_pair, from_json, hashable, to_json
from tests.any_value import SCALARS, VALUES, WITH_NAN, identical

Point = namedtuple("Point", "x y")
Colour = enum.IntEnum("Colour", "RED")

REFUSED = [
    ({1, 2}, ": must be a number, text, true, false, null, a date, or a list, a tuple or a mapping of these, but got"),
    (frozenset(), ": must be a number"),
    (b"bytes", ": must be a number"),
    (object(), ": must be a number"),
    (len, ": must be a number"),
    (1j, ": must be a number"),
    (np.complex64(1), ": must be a number"),
    (range(3), ": must be a number"),
    (Decimal("0.1"), ": must be a number"),
    (Path("a"), ": must be a number"),
    (time(1), ": must be a number"),
    (timedelta(1), ": must be a number"),
    (np.datetime64("2020-01-31"), ": must be a number"),
    (np.array([1, 2]), ": must be a number"),
    (np.array(1), ": must be a number"),
    (pd.DataFrame({"a": [1, 2]}), ": must be a number"),
    (pd.Timestamp("2020-01-31"), ": must be a number"),
    (OrderedDict(a=1), ": must be a number"),
    (Point(1, 2), ": must be a number"),
    (Colour.RED, ": must be a number"),
    (2**63, ": a whole number must fit into 64 bits, but got 9223372036854775808"),
    (-(2**63) - 1, ": a whole number must fit into 64 bits"),
    (10**5000, ": a whole number must fit into 64 bits, but got a number of thousands of digits"),
    (np.uint64(2**64 - 1), ": a whole number must fit into 64 bits"),
    ("\udc80", ": text must be valid Unicode"),
    ({0.5: 1}, ": a key must be text or a whole number, but got 0.5"),
    ({True: 1}, ": a key must be text or a whole number, but got True"),
    ({None: 1}, ": a key must be text or a whole number, but got None"),
    ({(1, 2): 1}, ": a key must be text or a whole number"),
    ({"\udc80": 1}, ": a key must be text or a whole number"),
    (datetime(2020, 1, 31, tzinfo=ZoneInfo("Europe/Berlin")), ": a time zone must be a fixed offset from UTC"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_is_no_value_is_refused_at_any_depth_with_its_place_on_one_line(value, message):
    for whole, where in ((value, "x"), ({"a": [1, value]}, r"x\.a\.1"), (({7: value},), r"x\.0\.7")):
        with pytest.raises(SpaceError, match=f"^{where}{message}") as error:
            plain(whole, "x")
        assert "\n" not in str(error.value)


def test_a_value_that_holds_itself_is_refused():
    value: list = [1]
    value.append(value)
    with pytest.raises(SpaceError, match=r"^x(\.1){50}: must be nested at most 50 deep"):
        plain(value, "x")


def test_nan_is_a_value_but_not_where_an_empty_cell_looks_the_same():
    assert math.isnan(plain(math.nan))
    with pytest.raises(SpaceError, match=r"^x\.0: must not be NaN, which a table cannot tell from an empty cell"):
        plain([math.nan], "x", nan=False)


@pytest.mark.parametrize(
    ("given", "python"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        ({"k": np.int64(3), np.int32(1): [np.float64(2)]}, {"k": 3, 1: [2.0]}),
        ((np.inf, [np.float32("-inf")]), (math.inf, [-math.inf])),
    ],
)
def test_numbers_of_numpy_become_numbers(given, python):
    assert identical(plain(given), python)


@given(WITH_NAN)
def test_a_value_is_its_own_plain_form_and_a_copy(value):
    copy = plain(value)
    assert identical(copy, value)
    assert copy is not value or not isinstance(value, list | dict)


@given(WITH_NAN)
def test_a_value_comes_back_from_json(value):
    assert identical(from_json(to_json(value)), value)
    assert identical(decode(json.loads(json.dumps(encode(value)))), value)


@given(WITH_NAN)
def test_a_value_comes_back_from_yaml(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.yaml"
    path.write_text(to_yaml({"value": value}), encoding="utf-8", newline="")
    assert identical(read_yaml(path)["value"], value)


@given(VALUES, VALUES)
def test_the_same_values_have_one_key_and_others_have_another(a, b):
    assert same(a, a)
    assert same(a, b) == same(b, a) == (hashable(a) == hashable(b))
    if identical(a, b):
        assert same(a, b)
    if same(a, b):
        assert a == b


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (True, "True", False),
        (None, "null", False),
        ([1], (1,), False),
        ([1], [True], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({1: "a"}, {"1": "a"}, False),
        ({"a": 1}, {"a": True}, False),
        (date(2020, 1, 31), "2020-01-31", False),
        (date(2020, 1, 31), datetime(2020, 1, 31), False),
        (math.nan, math.nan, True),
    ],
)
def test_what_counts_as_the_same(a, b, expected):
    assert same(a, b) is expected


@given(st.lists(VALUES, max_size=5))
def test_a_pair_is_found_where_python_takes_two_for_equal(values):
    assert (equal_pair(values) is not None) == any(a == b for i, a in enumerate(values) for b in values[:i])


@st.composite
def options(draw):
    values = draw(st.lists(VALUES, min_size=1, max_size=5))
    return [value for i, value in enumerate(values) if not any(value == before for before in values[:i])]


@given(options(), SCALARS)
def test_a_space_of_any_values_keeps_them(values, constant):
    parameters = {"a": Choice(values), "b": When(Constant([constant]), {"a": [values[0]]}), "c": Constant(values[-1])}
    space = Space(parameters, ["a == c or a != c"])
    assert load_space(json.loads(json.dumps(encode(space.to_dict()))) and decode(encode(space.to_dict()))) == space
    grid = list(space.grid())
    assert len(grid) == len(values) == space.size
    for value, config in zip(values, grid, strict=True):
        assert identical(config["a"], value)
        assert ("b" in config) is same(value, values[0])
        assert identical(space.from_unit(space.to_unit(config)), config)
        assert identical(space.complete({"a": value} | ({"b": [constant]} if "b" in config else {})), config)


def test_yaml_has_tuples_dates_and_keys_that_are_numbers(tmp_path):
    text = (
        "a: !tuple [0.9, 0.999]\nb: !!timestamp 2020-01-31\nc: {0: 1.0, '0': 2}\nd: !!timestamp 2020-01-31 10:00:00Z\n"
    )
    (tmp_path / "x.yaml").write_text(text)
    read = read_yaml(tmp_path / "x.yaml")
    moment = datetime.fromisoformat("2020-01-31T10:00:00+00:00")
    assert identical(read, {"a": (0.9, 0.999), "b": date(2020, 1, 31), "c": {0: 1.0, "0": 2}, "d": moment})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {1: x, 0x1: y}", "line 1, column 4: the key 1 comes twice$"),
        ("a: {true: x, 1: y}", "line 1, column 4: the keys true and 1 are equal$"),
        ("a: !tuple x", "expected a sequence node, but found scalar$"),
        ("a: !!timestamp 2020-13-01", "'2020-13-01' cannot be read as a value of type timestamp$"),
    ],
)
def test_a_mapping_keeps_every_key_of_its_text(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SpaceError, match=message):
        read_yaml(tmp_path / "x.yaml")


def test_text_that_looks_like_a_date_is_quoted_for_other_readers():
    assert to_yaml({"a": "2020-01-31"}) == "a: '2020-01-31'\n"
