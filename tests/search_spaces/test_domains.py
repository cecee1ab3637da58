"""Domains: what they refuse when made, and how they map onto the unit interval."""

import math
from collections import Counter
from datetime import date

import numpy as np
import pytest

from search_spaces import Choice, Constant, Domain, Grid, Int, LogInt, LogUniform, Space, SpaceError, Uniform, When

FALSE_DOMAINS = [
    (lambda: Uniform(3, 1), "`low < high` must hold, but got low=3.0, high=1.0"),
    (lambda: Uniform(1, 1), "`low < high` must hold"),
    (lambda: Uniform(0, math.inf), "must be a finite number, but got inf"),
    (lambda: Uniform(False, 1), "must be a finite number, but got False"),
    (lambda: Uniform("0", 1), "must be a finite number, but got '0'"),
    (lambda: Uniform(-1e308, 1e308), "`high - low` must be finite"),
    (lambda: LogUniform(0, 1), "`low > 0` must hold, but got low=0.0"),
    (lambda: LogUniform(1e300, math.nextafter(1e300, math.inf)), r"`log\(low\) < log\(high\)` must hold"),
    (lambda: Int(3, 1), "`low < high` must hold, but got low=3, high=1"),
    (lambda: Int(1, 2.5), "`high` must be a whole number, but got high=2.5"),
    (lambda: Int(True, 5), "`low` must be a whole number, but got low=True"),
    (lambda: Int(0, 2**50), "`high <= "),
    (lambda: Int(0, 10**5000), "`high <= .* must hold, but got high=a number of thousands of digits"),
    (lambda: Uniform(0, 10**5000), "must be a finite number, but got a number of thousands of digits"),
    (lambda: Grid([1, 10**400]), "^1: a whole number must fit into 64 bits, but got 1000"),
    (lambda: LogInt(0, 8), "`1 <= low`"),
    (lambda: Choice([]), "`options` must be a list of at least one value"),
    (lambda: Choice("sgd"), "`options` must be a list"),
    (lambda: Choice(["a", "b", "a"]), "`options` must differ from each other, but 'a' comes twice in "),
    (
        lambda: Choice([True, None, 1, "a"]),
        r"`options` must differ .*, but true and 1 are equal in \[True, None, 1, 'a'",
    ),
    (lambda: Choice([0, 2, False]), "but 0 and false are equal"),
    (lambda: Choice([1, 1.0]), "but 1 and 1.0 are equal"),
    (lambda: Choice([[1, {"a": 0}], [True, {"a": False}]]), "are equal"),
    (lambda: Choice([math.nan]), "^0: must not be NaN, which a table cannot tell from an empty cell, but got nan$"),
    (lambda: Choice([{"a": [math.nan]}]), r"^0\.a\.0: must not be NaN"),
    (lambda: Choice([1, {2}]), r"^1: must be a number, text, .* mapping of these, but got .2.$"),
    (lambda: Grid([2, 1]), "`points` must increase"),
    (lambda: Grid([1, 1.0]), "`points` must increase"),
    (lambda: Grid(["a"]), "must be a number, a date, or a list of these, but got 'a'"),
    (lambda: Grid([True]), "must be a number, a date, or a list of these, but got True"),
    (lambda: Grid([[1, 2], [3, "x"]]), "must be a number, a date, or a list of these, but got 'x'"),
    (lambda: Grid([1, [2]]), r"`points` must be of one kind, but got 1 and \[2\]"),
    (lambda: Grid([]), "`points` must be a list of at least one value"),
    (lambda: Constant(math.nan), "^must not be NaN"),
    (lambda: Constant(b"x"), "^must be a number, text, .*, but got b'x'$"),
    (lambda: When(When(Int(1, 2), {"a": 1}), {"b": 1}), "`domain` must be a plain domain"),
    (lambda: When(Int(1, 2), {}), "`conditions` must name a parameter"),
    (lambda: When(Int(1, 2), {"a": []}), "`conditions` must be a list of at least one value"),
]


@pytest.mark.parametrize(("make", "message"), FALSE_DOMAINS)
def test_a_domain_that_makes_no_sense_says_which_rule_it_breaks(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Int(1, 3), [1, 2, 3], [0, 4, 2.0, True, "2", None]),
        (LogInt(1, 1000), [1, 1000], [0, 1001, True, 10.0]),
        (Uniform(0, 1), [0, 1, 0.5], [-0.1, 1.1, math.nan, True, "0.5"]),
        (LogUniform(1e-3, 1), [1e-3, 1, 0.1], [0, 2, math.inf]),
        (Choice(["a", None, True, 0]), ["a", None, True, 0], ["b", 1, False]),
        (Grid([0, 0.5, 2]), [0, 0.5, 2, 2.0], [1, False, "0"]),
        (Constant(1), [1, 1.0], [True, 2, None]),
        (Choice([[1, 2], (1, 2)]), [[1, 2], (1, 2), [1.0, 2]], [[True, 2], [1], "[1, 2]", 1]),
        (Choice(["1", 2, "True", True]), ["1", 2, "True", True], [1, "2", 1.0]),
        (Choice([{"a": 1, 0: None}, date(2020, 1, 31)]), [{0: None, "a": 1}, date(2020, 1, 31)], [{"a": True}, "x"]),
        (Constant(math.inf), [math.inf], [-math.inf, None]),
    ],
)
def test_membership(domain, inside, outside):
    assert [value for value in inside if not domain.contains(value)] == []
    assert [value for value in outside if domain.contains(value)] == []


def test_bounds_are_reached_and_the_outside_is_clipped():
    for domain in (Int(1, 9), LogInt(1, 9), Uniform(1, 9), LogUniform(1, 9), Grid([1, 3, 9])):
        assert [domain.from_unit(u) for u in (-1.0, 0.0, 1.0, 2.0)] == [1, 1, 9, 9]


def test_logarithmic_domains_spend_as_much_on_each_decade():
    real, whole = LogUniform(1e-4, 1.0), LogInt(1, 1000)
    assert real.from_unit(0.5) == pytest.approx(1e-2)
    shares = Counter(len(str(whole.from_unit(u))) for u in np.linspace(0, 1, 3001))
    assert shares[2] == pytest.approx(shares[3], rel=0.1)


@pytest.mark.parametrize("domain", [Choice(["a", "b", "c"]), Grid([1, 10, 11]), Int(-1, 1)])
def test_all_values_of_a_finite_domain_are_equally_likely(domain: Domain):
    rng = np.random.default_rng(0)
    counts = Counter(domain.sample(rng) for _ in range(3000))
    assert len(counts) == domain.size == 3
    assert all(count == pytest.approx(1000, rel=0.15) for count in counts.values())


def test_a_continuum_has_no_list_of_values():
    assert Uniform(0, 1).size is None
    with pytest.raises(SpaceError, match="use Grid"):
        Uniform(0, 1).values()


def test_bounds_and_lists_compare_by_what_they_mean():
    assert Uniform(0, 1) == Uniform(low=0.0, high=1.0)
    assert Choice(["a", "b"]) == Choice(("a", "b"))
    assert When(Int(1, 2), {"a": "x"}) == When(Int(1, 2), {"a": ["x"]})
    assert Int(1, 8) != LogInt(1, 8)
    assert Choice([1, 2]) != Choice([True, 2])
    assert len({Choice([[1]]), Choice(([1],)), Choice([[True]]), Choice([(1,)])}) == 3


def test_a_domain_keeps_and_gives_values_that_are_no_one_elses():
    widths = [16, 32]
    domain = Choice([widths, {"w": widths}])
    widths.append(64)
    domain.from_unit(0.0).append(8)
    domain.member({"w": [16, 32]})["w"].append(8)
    next(Space({"a": domain}).grid())["a"].append(8)
    assert domain.values() == ([16, 32], {"w": [16, 32]})


def test_values_in_order_are_numbers_dates_or_lists_of_these():
    assert Grid([1, 2.5, math.inf]).values() == (1.0, 2.5, math.inf)
    assert [type(point) for point in Grid([1, 2.5]).values()] == [float, float]
    assert Grid([[16, 32], [32, 64]]).from_unit(1.0) == [32, 64]
    assert Grid([date(2020, 1, 1), date(2021, 1, 1)]).to_unit(date(2021, 1, 1)) == 0.75


def test_numbers_of_numpy_are_numbers():
    domains = [
        (Int(np.int64(1), np.uint8(5)), Int(1, 5)),
        (Uniform(np.float32(0.5), np.int8(1)), Uniform(0.5, 1)),
        (Grid([np.int16(1), np.int32(2)]), Grid([1, 2])),
        (Choice([np.bool_(True), np.str_("a"), np.float64(2)]), Choice([True, "a", 2.0])),
    ]
    for given, meant in domains:
        assert given == meant
        assert all(type(a) is type(b) for a, b in zip(given.spec(), meant.spec(), strict=True))
