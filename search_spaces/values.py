"""Values: the rule for what a parameter or an argument may be, when two are the same, and their form in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable
from copy import deepcopy
from datetime import date, datetime, timezone
from typing import Any

import numpy as np

from search_spaces.errors import SpaceError

MOST_NESTED = 50
WHOLE = range(-(2**63), 2**63)
"""The whole numbers that fit into 64 bits, as every table and file needs."""
RULE = "must be a number, text, true, false, null, a date, or a list, a tuple or a mapping of these"
_WORDS = {True: "true", False: "false", None: "null"}


def plain(value: object, where: str = "", *, nan: bool = True, depth: int = 0) -> Any:
    """A deep copy of a value, in which NumPy's numbers are Python's.

    Values are numbers (whole ones within 64 bits; infinities), text, booleans, None, `datetime.date` and
    `datetime.datetime`, and lists, tuples and dicts of these, whose keys are text or whole numbers. Nothing else is
    one, subclasses included, since it could not come back as it was.

    Args:
        where: the key path of the value, for the error.
        nan: whether NaN is allowed.

    Raises SpaceError, with the key path of the part that breaks the rule.
    """
    value = as_python(value)
    if type(value) in (list, tuple, dict) and depth == MOST_NESTED:
        raise SpaceError.at(where, f"must be nested at most {MOST_NESTED} deep", value)
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        parts = (plain(part, _below(where, i), nan=nan, depth=depth + 1) for i, part in enumerate(value))
        return type(value)(parts)
    if isinstance(value, dict) and type(value) is dict:
        items = ((_key(key, where), part) for key, part in value.items())
        return {key: plain(part, _below(where, key), nan=nan, depth=depth + 1) for key, part in items}
    if rule := _broken_rule(value, nan):
        raise SpaceError.at(where, rule, value)
    return value


def as_python(value: object) -> Any:
    """Python's number, truth value or text for one of NumPy's; anything else as it is."""
    return value.item() if isinstance(value, np.number | np.bool_ | np.str_) else value


def fresh(value: Any) -> Any:
    """The value, apart from any other use of it: lists and mappings can be changed."""
    return deepcopy(value) if isinstance(value, list | tuple | dict) else value


def same(a: object, b: object) -> bool:
    """Equality of values under which 1 is 1.0, as in JSON, but neither True nor "1"; lists are not tuples."""
    return hashable(a) == hashable(b)


def hashable(value: Any) -> Hashable:
    """Hashable key of a value; equal if and only if the values are the `same`."""
    value = as_python(value)
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, float) and math.isnan(value):
        return float, "nan"
    if isinstance(value, list | tuple):
        return type(value), tuple(map(hashable, value))
    if isinstance(value, dict):
        return dict, frozenset((key, hashable(part)) for key, part in value.items())
    return value if isinstance(value, Hashable) else (type(value), id(value))


def equal_pair(values: Iterable[object]) -> tuple[Any, Any] | None:
    """The first two of the values that Python takes for equal, as it does true and 1; None if all differ."""
    seen: dict[Hashable, Any] = {}
    for value in values:
        key = _ignoring_truth(hashable(value))
        if key in seen:
            return seen[key], value
        seen[key] = value
    return None


def in_words(value: object) -> str:
    """A value as YAML writes it, in short."""
    return _WORDS[value] if value is None or isinstance(value, bool) else repr(value)


def encode(value: Any) -> Any:
    """The value in the types of JSON, from which `decode` makes the same again.

    What JSON lacks is a mapping of one key: {"$tuple": [...]}, {"$map": [[key, value], ...]} for a mapping with keys
    that are not text or begin with $, {"$date": text} and {"$datetime": text}. NaN and infinities stay floats.
    """
    if isinstance(value, tuple):
        return {"$tuple": [encode(part) for part in value]}
    if isinstance(value, list):
        return [encode(part) for part in value]
    if isinstance(value, dict):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            return {"$map": [[key, encode(part)] for key, part in value.items()]}
        return {key: encode(part) for key, part in value.items()}
    if isinstance(value, date):
        return {"$datetime" if isinstance(value, datetime) else "$date": value.isoformat()}
    return value


def decode(form: Any) -> Any:
    """The value that was encoded. What holds no tagged mapping is its own form."""
    if isinstance(form, list):
        return [decode(part) for part in form]
    if not isinstance(form, dict):
        return form
    tag = next(iter(form)) if len(form) == 1 else ""
    kind, make = _TAGS.get(tag, (None, None))
    if kind and make and isinstance(form[tag], kind):
        return make(form[tag])
    return {key: decode(part) for key, part in form.items()}


def to_json(value: Any) -> str:
    """The value as JSON, with NaN and infinities as Python writes them."""
    return json.dumps(encode(value), ensure_ascii=False)


def from_json(text: str) -> Any:
    """The value that `to_json` has written."""
    return decode(json.loads(text))


_TAGS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "$tuple": (list, lambda parts: tuple(map(decode, parts))),
    "$map": (list, lambda items: {key: decode(part) for key, part in items}),
    "$date": (str, date.fromisoformat),
    "$datetime": (str, datetime.fromisoformat),
}


def _broken_rule(value: object, nan: bool) -> str:
    """The rule that a value which holds no others breaks; empty if it is one."""
    if value is None or type(value) in (bool, date):
        return ""
    if type(value) is int:
        return "" if value in WHOLE else "a whole number must fit into 64 bits"
    if isinstance(value, float) and type(value) is float:
        return "must not be NaN, which a table cannot tell from an empty cell" if math.isnan(value) and not nan else ""
    if isinstance(value, str) and type(value) is str:
        return "" if _is_unicode(value) else "text must be valid Unicode"
    if isinstance(value, datetime) and type(value) is datetime:
        return "" if type(value.tzinfo) in (type(None), timezone) else "a time zone must be a fixed offset from UTC"
    return RULE


def _key(key: object, where: str) -> str | int:
    key = as_python(key)
    if type(key) is str and _is_unicode(key):
        return key
    if type(key) is int and key in WHOLE:
        return key
    raise SpaceError.at(where, "a key must be text or a whole number", key)


def _is_unicode(text: str) -> bool:
    """Whether the text can be written in UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _below(where: str, part: object) -> str:
    return f"{where}.{part}" if where else str(part)


def _ignoring_truth(key: Hashable) -> Hashable:
    """The hashable of a value with its booleans as Python compares them: as 1 and 0."""
    if not isinstance(key, tuple | frozenset):
        return key
    if isinstance(key, tuple) and len(key) == 2 and key[0] is bool:
        return bool(key[1])
    return type(key)(map(_ignoring_truth, key))
