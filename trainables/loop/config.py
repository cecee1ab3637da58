"""Which function trains, and what it is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import Field

from trainables.config import Count, Seed
from trainables.imports import import_named
from trainables.loop.trial import LoopError, LoopTrial
from trainables.settings import Settings

Loop = Callable[[dict[str, Any], LoopTrial], object]


class LoopConfig(Settings):
    """One training by a loop of the user's own.

    Attributes:
        loop: "package.module:function", called with a dict of its arguments and the `LoopTrial`.
        arguments: values given to every trial, by name; those of the space are laid over them.
        epochs: reports after which the trial is complete; the function may return sooner.
        seed: `trial.seed`; in a sweep it follows from the seed of the sweep unless it is set.
    """

    loop: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    epochs: Count = 27
    seed: Seed = 0

    @classmethod
    def of(cls, base: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Self:
        """`base` with a trial's values laid over its arguments; those for `epochs` and `seed` set these, too.

        Raises SettingError.
        """
        values, own = dict(base), dict(overrides or {})
        arguments = values.get("arguments", {})
        if isinstance(arguments, Mapping):
            values["arguments"] = {**arguments, **own}
        return cls.model_validate({**values, **{key: own[key] for key in ("epochs", "seed") if key in own}})


def find_loop(name: str) -> Loop:
    """The function that `name` leads to. Raises LoopError if there is none, or none that takes (config, trial)."""
    try:
        loop: Loop = import_named(name)
    except ValueError as error:
        raise LoopError(str(error)) from error
    if not callable(loop):
        raise LoopError(f"must name a function, but {name!r} is of type {type(loop).__name__}")
    if inspect.isgeneratorfunction(loop) or inspect.iscoroutinefunction(loop):
        raise LoopError(f"must name a plain function, which runs when it is called, but {name!r} has yield or async")
    try:
        inspect.signature(loop).bind({}, None)
    except (TypeError, ValueError) as error:
        raise LoopError(f"must name a function of (config, trial), but {name!r}: {error}") from error
    return loop
