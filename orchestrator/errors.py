"""What a user can get wrong, said in one message: where, the rule, the value, the nearest right name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search_spaces import SpaceError, nearest
from trainables import DataError


class SweepError(ValueError):
    """A sweep, a run folder or a cluster that cannot be used as asked; nothing has been started."""


class DiskFull(RuntimeError):
    """There is no room for what must be written. The run can be resumed once there is."""


USER_ERRORS = (SweepError, SpaceError, DataError)
"""Every error that is the user's to mend: the command prints its text and exits with 2."""


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """One line a mistake: key path, rule, value and, for a name, the nearest right one."""
    lines = [f"{where}: {_line(detail, model)}" for detail in error.errors(include_url=False)]
    return "\n".join(dict.fromkeys(lines))


def _line(detail: ErrorDetails, model: type[BaseModel]) -> str:
    path = [str(part) for part in detail["loc"]]
    key = ".".join(path) or "the top level"
    if detail["type"] == "extra_forbidden":
        names = list(_fields_at(model, path[:-1]))
        return f"{key}: unknown key;{nearest(path[-1], names) or ' known are ' + ', '.join(names)}"
    rule = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{key}: {rule}" if path else rule
    if detail["type"] == "missing":
        return f"{key}: {rule}"
    return f"{key}: {rule}, but got {_shorten(detail['input'])}{_hint(detail)}"


def _hint(detail: ErrorDetails) -> str:
    expected = detail.get("ctx", {}).get("expected")
    if detail["type"] != "literal_error" or not isinstance(expected, str):
        return ""
    names = [name.strip("' ") for name in expected.replace(" or ", ", ").split(",")]
    return ";" + hint if (hint := nearest(str(detail["input"]), names)) else ""


def _fields_at(model: type[BaseModel], path: list[str]) -> Iterator[str]:
    """The field names of the model that `path` leads to."""
    for part in path:
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return
        model = inner
    yield from model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _model_in(part))), None)


def _shorten(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
