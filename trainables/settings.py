"""The base of all settings: frozen, strict, checked when made, with one form of error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from trainables.errors import SettingError
from trainables.explain import explain

_DEEP = 100


class Settings(BaseModel):
    """Settings as frozen attributes; NumPy's numbers in them become Python's.

    Making them, by a call or by `model_validate`, raises `failure` for whatever is wrong: a line a mistake, with its
    key, rule, value and the nearest right name. `parsed` raises pydantic's error instead, for those who tell the keys
    by other names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    failure: ClassVar[type[ValueError]] = SettingError

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self.failed(error) from None

    # Without it pydantic would make the settings inside others by calls, and lose the places of their mistakes.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Settings from a mapping. Raises `failure`."""
        try:
            return cls.parsed(obj, **options)
        except ValidationError as error:
            raise cls.failed(error) from None

    @classmethod
    def parsed(cls, values: Any, **options: Any) -> Self:
        """Settings from a mapping. Raises pydantic's ValidationError, in which each error's `loc` is the key's path."""
        return super().model_validate(values, **options)

    @classmethod
    def failed(cls, error: ValidationError) -> ValueError:
        """The error to raise for pydantic's."""
        made = cls.failure(explain(error, cls))
        if isinstance(made, SettingError):
            made.validation = error
            made.key = ".".join(str(part) for part in error.errors()[0]["loc"]) if error.error_count() == 1 else ""
        return made

    @model_validator(mode="before")
    @classmethod
    def _of_python(cls, values: Any) -> Any:
        return in_python(values) if isinstance(values, Mapping) else values


def in_python(tree: Any, depth: int = 0) -> Any:
    """Nested dicts, lists and tuples with Python's numbers, truth values and texts for NumPy's."""
    if isinstance(tree, np.number | np.bool_ | np.str_):
        return tree.item()
    if depth == _DEEP:  # a list that holds itself
        return tree
    if type(tree) is dict:
        return {in_python(key): in_python(value, depth + 1) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(in_python(value, depth + 1) for value in tree)
    return tree
