"""The sections of a sweep, each with its rules and defaults."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator

from orchestrator.errors import SweepError
from search_spaces import Space, load_space, plain, shorten
from trainables.config import Count, expand_home
from trainables.settings import Settings


def folder_name(name: str) -> str:
    """The name, if a folder can have it everywhere. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name):
        rule = "must be up to 200 letters, digits, '.', '_' and '-', a letter or digit first"
        raise ValueError(f"{rule}, but got {shorten(name)}")
    return name


def _to_space(value: Any) -> Space:
    return value if isinstance(value, Space) else load_space(value)


def values_under(key: str) -> AfterValidator:
    """For a setting of that key: refuse anything in it that is no value, with its key path."""
    return AfterValidator(partial(plain, where=key))


SpaceField = Annotated[Space, BeforeValidator(_to_space), PlainSerializer(Space.to_dict)]
"""A `Space`, a mapping, a shipped space's name or a YAML file."""


class Section(Settings):
    """Settings of a sweep: what is wrong with them is a SweepError."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    failure: ClassVar[type[ValueError]] = SweepError


class SearchConfig(Section):
    """The searcher and the number of trials.

    Attributes:
        name: Bayesian search, independent random configurations, or every point of a finite space.
        trials: most trials, repeats included; None, with `name: grid` only: the whole space.
        start: configurations to try first, in order.
        warm_start: folders of earlier runs, or `trials.parquet` files, whose trials inform the searcher; with
            `name: bayes` only.
        per_second: look for the most improvement per second of training; with `name: bayes` only.
        repeats: trials of a configuration, each with a seed of its own, as long as they complete; the searcher gets
            their mean.
    """

    name: Literal["bayes", "random", "grid"] = "bayes"
    trials: Count | None = None
    start: Annotated[list[dict[str, Any]], values_under("start")] = Field(default_factory=list)
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
        grace_period: epochs of every trial before the first comparison, the lowest rung.
        reduction_factor: the best 1 / reduction_factor of the trials at a rung continue; the next rung is that many
            times as many epochs.
        brackets: grace periods used side by side, each `reduction_factor` times the one before.
    """

    grace_period: Count = 1
    reduction_factor: float = Field(default=3, ge=1.1)  # closer to 1 there is a rung at every epoch
    brackets: Count = 1

    def rungs(self, epochs: int) -> int:
        """How many rungs Ray makes of so many epochs in the lowest bracket; each further bracket has one less."""
        return int(math.log(epochs / self.grace_period) / math.log(self.reduction_factor) + 1)


class WorkerConfig(Section):
    """The resources of a trial. A share of a CPU or GPU is at least 0.01.

    Attributes:
        count: processes; from 2 on they train one model together.
        cpus: CPUs of each process.
        gpus: GPUs of each process: 0, a share from 0.01 to 1, or a whole number.
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
    """Limits that end the search, over all sessions of a run together; None: no limit.

    Attributes:
        epochs: epochs of all trials together.
        minutes: minutes of search, without the making of models; limits are checked between epochs, so that trials
            under way finish their current epoch.
        target: value of the metric that is good enough.
        patience: trials in a row that end without a new best one, failed ones included.
    """

    epochs: Count | None = None
    minutes: float | None = Field(default=None, gt=0)
    target: float | None = None
    patience: Count | None = None


class FaultConfig(Section):
    """Retries of failed trials, and when to give up.

    Attributes:
        retries: further attempts at a trial that failed, each from its last checkpoint.
        hang_after: seconds without a report after which the process of a trial is ended, as a failed attempt.
        give_up: number of trials of a session that have ended, all of them failed, at which no further one starts.
    """

    retries: int = Field(default=1, ge=0, le=10**9)
    hang_after: float = Field(default=1800, gt=0)
    give_up: Count = 8
