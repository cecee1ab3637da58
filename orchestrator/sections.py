"""The sections of a sweep, each with its rules and defaults."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator

from search_spaces import Space, load_space, shorten
from trainables.config import Count, expand_home


def folder_name(name: str) -> str:
    """The name, if a folder can have it everywhere. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name):
        rule = "must be up to 200 letters, digits, '.', '_' and '-', a letter or digit first"
        raise ValueError(f"{rule}, but got {shorten(name)}")
    return name


def _to_space(value: Any) -> Space:
    return value if isinstance(value, Space) else load_space(value)


SpaceField = Annotated[Space, BeforeValidator(_to_space), PlainSerializer(Space.to_dict)]
"""A `Space`, a mapping, a shipped space's name or a YAML file."""


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class SearchConfig(Section):
    """Who proposes configurations, and how many.

    Attributes:
        name: `bayes`, `random` or `grid`.
        trials: how many at most, repeats included; None, for a finite space only, means all of it.
        start: configurations to try first, in order.
        warm_start: earlier runs' folders or `trials.parquet` files, from whose trials the search learns.
        per_second: look for the most improvement per second of training.
        repeats: seeds with which a configuration is trained, if it completes each time; searchers see their mean.
    """

    name: Literal["bayes", "random", "grid"] = "bayes"
    trials: Count | None = None
    start: list[dict[str, Any]] = Field(default_factory=list)
    warm_start: list[str] = Field(default_factory=list)
    per_second: bool = False
    repeats: int = Field(default=1, ge=1, le=1000)

    @field_validator("warm_start")
    @classmethod
    def _absolute(cls, places: list[str]) -> list[str]:
        """A run is resumed from wherever."""
        return [str(Path(expand_home(place)).absolute()) for place in places]


class AshaConfig(Section):
    """Asynchronous successive halving (Li et al. 2020, section 3): the budget is epochs.

    Attributes:
        grace_period: epochs that every trial may train; the lowest rung.
        reduction_factor: one in so many trials goes on from rung to rung.
        brackets: how many grace periods are tried side by side, each `reduction_factor` longer than the one before.
    """

    grace_period: Count = 1
    reduction_factor: float = Field(default=3, ge=1.1)  # closer to 1 there is a rung at every epoch
    brackets: Count = 1

    def rungs(self, epochs: int) -> int:
        """How many rungs Ray makes of so many epochs in the lowest bracket; each further bracket has one less."""
        return int(math.log(epochs / self.grace_period) / math.log(self.reduction_factor) + 1)


class WorkerConfig(Section):
    """What a trial takes of the cluster: `count` processes (data parallel from 2), each with so many CPUs and GPUs.

    A share of a CPU or GPU is a hundredth at least: Ray counts in ten-thousandths, and less can only be a mistake.
    """

    count: Count = 1
    cpus: float = Field(default=1, ge=0.01)
    gpus: float = 0

    @field_validator("gpus")
    @classmethod
    def _whole_or_shared(cls, gpus: float) -> float:
        """What Ray can hand out."""
        if gpus and not 0.01 <= gpus <= 1 and not (gpus > 1 and gpus.is_integer()):
            raise ValueError(f"must be 0, a share from 0.01 to 1 or a whole number, but got {gpus:g}")
        return gpus


class LimitConfig(Section):
    """When the search ends early; each holds over all sessions of a run together, None is no limit.

    Attributes:
        epochs: epochs trained in all.
        minutes: of wall-clock time.
        target: a value of the sweep's metric that is good enough.
        patience: trials that end without a new best one.
    """

    epochs: Count | None = None
    minutes: float | None = Field(default=None, gt=0)
    target: float | None = None
    patience: Count | None = None


class FaultConfig(Section):
    """What is done about attempts that fail.

    Attributes:
        retries: more attempts at a trial, each from its last checkpoint, before it is recorded as failed.
        hang_after: seconds without a report after which a trial's process is ended.
        give_up: the search ends when so many trials have ended and all of them failed.
    """

    retries: int = Field(default=1, ge=0, le=10**9)
    hang_after: float = Field(default=1800, gt=0)
    give_up: Count = 8
