"""Messages for the mistakes that pydantic finds in settings: key path, rule, value, nearest right name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from trainables.errors import near_miss, shorten

_RULES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt:.12g}",
    "greater_than_equal": "must be at least {ge:.12g}",
    "int_type": "must be a whole number",
    "invalid_key": "a key must be text",
    "less_than": "must be less than {lt:.12g}",
    "less_than_equal": "must be at most {le:.12g}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "tuple_type": "must be a list",
}


def explain(error: ValidationError, model: type[BaseModel], place: Callable[[str], str] = str) -> str:
    """One line a mistake in settings for `model`; `place` makes of a dotted key what the user knows it by."""
    return "\n".join(dict.fromkeys(_line(detail, model, place) for detail in error.errors(include_url=False)))


def _line(detail: ErrorDetails, model: type[BaseModel], place: Callable[[str], str]) -> str:
    path = [str(part) for part in detail["loc"] if part != "[key]"]
    rule = _rule(detail, model, path)
    named, colon, rest = rule.partition(": ")
    first = named.split(".")[0] if colon else ""
    if path and first == path[-1]:  # a value that says where in it the mistake is
        return f"{place('.'.join([*path[:-1], named]))}: {rest}"
    if first in _names(_model_at(model, path)):  # a section that speaks of one of its keys
        return f"{place('.'.join([*path, named]))}: {rest}"
    return f"{place('.'.join(path))}: {rule}" if path else rule


def _rule(detail: ErrorDetails, model: type[BaseModel], path: Sequence[str]) -> str:
    kind, got = detail["type"], detail["input"]
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return "must be given"
    if kind == "extra_forbidden":
        return f"unknown key; {_better(path, _model_at(model, path[:-1]), got)}"
    if kind == "model_type":
        rule = _mapping(_model_at(model, path))
    elif "[key]" in detail["loc"]:
        rule = _RULES["invalid_key"]
    elif kind in _RULES:
        rule = _RULES[kind].format(**detail.get("ctx", {}))
    else:
        rule = detail["msg"].replace("Input should be", "must be")
    return f"{rule}, but got {shorten(got)}{_hint(detail)}"


def _better(path: Sequence[str], section: type[BaseModel] | None, got: object) -> str:
    """What to write instead of an unknown key."""
    if section is None:
        return f"{path[-2]!r} is a single value" if len(path) > 1 else "there are no keys here"
    names = _names(section)
    first, *inner = path[-1].split(".")
    if inner and _model_at(section, [first]):
        nested = "".join(f"{{{part}: " for part in inner) + shorten(got, 40) + "}" * len(inner)
        return f"keys are nested here, write {first}: {nested}"
    return near_miss(path[-1], names).removeprefix("; ") or f"known are {', '.join(names)}"


def _names(section: type[BaseModel] | None) -> list[str]:
    return list(_fields(section)) if section else []


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """By the keys that a section takes, those of another that may stand in it directly among them."""
    own, beside = section.model_fields, getattr(section, "short_form", None)
    return own | beside.model_fields | own if beside else own


def _mapping(section: type[BaseModel] | None) -> str:
    fields = section.model_fields if section else {}
    for name, field in fields.items():
        if isinstance(field.default, str | int | float):
            return f"must be a mapping such as {{{name}: {field.default}}}"
    return f"must be a mapping of {', '.join(fields)}" if fields else "must be a mapping"


def _hint(detail: ErrorDetails) -> str:
    expected = detail.get("ctx", {}).get("expected")
    if detail["type"] != "literal_error" or not isinstance(expected, str):
        return ""
    names = [name.strip("' ") for name in expected.replace(" or ", ", ").split(",")]
    return near_miss(str(detail["input"]), names)


def _model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    """The model that `path` leads to; None if it leads to a value."""
    for part in path:
        field = _fields(model).get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _model_in(part))), None)
