"""Values of every kind that sweeps take, for property tests, and a comparison that tells their types apart."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

KEYS = st.text(max_size=4) | st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["$tuple", "$map", "$date", "0", 0, -1])
ZONES = st.none() | st.just(UTC) | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["1", "1.0", "1e3", "true", "null", "~", "", " ", "2020-01-31", "0x1", "=", "<<", "[1, 2]", ".inf", "\r\n", "\x85"]
)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.sampled_from([0, 1, 1.0, -0.0, math.inf]),
    TEXTS,
    st.dates(),
    st.datetimes(timezones=ZONES),
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists, tuples and mappings of the leaves, and these themselves."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(KEYS, inner, max_size=3),
        ),
        max_leaves=6,
    )


VALUES = nested(SCALARS)
WITH_NAN = nested(SCALARS | st.just(math.nan))


def identical(a: Any, b: Any) -> bool:
    """Equal in value and in type, at every depth; NaN is NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(map(repr, a)) == list(map(repr, b)) and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, float):
        return a.hex() == b.hex()
    if isinstance(a, datetime):
        return a == b and a.utcoffset() == b.utcoffset()
    return bool(a == b) and isinstance(a, date) == isinstance(b, date)
