"""A sweep as its author writes it: what varies, who proposes, how trials run, what becomes of the winners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from orchestrator.errors import SweepError, explain
from search_spaces import Config, Space, SpaceError, load_space, nearest, read_yaml
from trainables import ModelError, TrainConfig, find_builder, metric_names
from trainables.compress import CompressPlan


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class SearchConfig(_Section):
    """Who proposes configurations, and how many.

    Attributes:
        name: `bayes`, `random` or `grid`.
        trials: how many at most; None, for a finite space only, means all of it.
    """

    name: Literal["bayes", "random", "grid"] = "bayes"
    trials: int | None = Field(default=None, ge=1)


class AshaConfig(_Section):
    """Asynchronous successive halving (Li et al. 2020, section 3): the budget is epochs.

    Attributes:
        grace_period: epochs that every trial may train; the lowest rung.
        reduction_factor: one in so many trials goes on from rung to rung.
        brackets: how many grace periods are tried side by side, each `reduction_factor` longer than the one before.
    """

    grace_period: int = Field(default=1, ge=1)
    reduction_factor: float = Field(default=3, gt=1)
    brackets: int = Field(default=1, ge=1)


class WorkerConfig(_Section):
    """What a trial takes of the cluster: `count` processes (data parallel from 2), each with so many CPUs and GPUs."""

    count: int = Field(default=1, ge=1)
    cpus: float = Field(default=1, gt=0)
    gpus: float = Field(default=0, ge=0)


def _to_space(value: Any) -> Space:
    return value if isinstance(value, Space) else load_space(value)


class LimitConfig(_Section):
    """When the search ends early; each holds over all sessions of a run together, None is no limit.

    Attributes:
        epochs: epochs trained in all.
        minutes: of wall-clock time.
        target: a value of the sweep's metric that is good enough.
        patience: trials that end without a new best one.
    """

    epochs: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    target: float | None = None
    patience: int | None = Field(default=None, ge=1)


class FaultConfig(_Section):
    """What is done about attempts that fail.

    Attributes:
        retries: more attempts at a trial, each from its last checkpoint, before it is recorded as failed.
        hang_after: seconds without a report after which a trial's process is ended.
        give_up: the search ends when so many trials have ended and all of them failed.
    """

    retries: int = Field(default=1, ge=0)
    hang_after: float = Field(default=1800, gt=0)
    give_up: int = Field(default=8, ge=1)


SpaceField = Annotated[Space, BeforeValidator(_to_space), PlainSerializer(Space.to_dict)]


class Sweep(_Section):
    """One search with everything that it needs; `Sweep(...)` in Python and `load_sweep(path)` from YAML are the same.

    Attributes:
        name: the run's folder inside `storage`.
        seed: every random choice of the sweep follows from it.
        storage: folder of runs.
        space: a `Space`, a mapping, a shipped space's name or a YAML file.
        metric: an epoch metric; `mode` says whether `max` or `min` is better.
        concurrent: trials at a time; None fills the cluster.
        keep_checkpoints: of so many of the best trials that are over; the rest is removed.
        train: what all trials share, in the shape of `TrainConfig`; a trial's configuration is laid over it.
        compress: the post-stage for the best trials; None leaves it out.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0)
    storage: str = "runs"
    space: SpaceField
    search: SearchConfig = SearchConfig()
    asha: AshaConfig | None = AshaConfig()
    metric: str = "val_accuracy"
    mode: Literal["max", "min"] = "max"
    workers: WorkerConfig = WorkerConfig()
    concurrent: int | None = Field(default=None, ge=1)
    limits: LimitConfig = LimitConfig()
    faults: FaultConfig = FaultConfig()
    keep_checkpoints: int = Field(default=5, ge=1)
    train: dict[str, Any] = Field(default_factory=dict)
    compress: CompressPlan | None = None

    @property
    def folder(self) -> Path:
        return Path(self.storage) / self.name

    @property
    def sign(self) -> float:
        """What turns the metric into a loss: the searchers minimise."""
        return -1.0 if self.mode == "max" else 1.0

    @cached_property
    def epochs(self) -> int:
        """The most epochs that a trial may train."""
        return max(self.train_config(config).epochs for config in self._probes())

    def train_config(self, config: Config) -> TrainConfig:
        """The complete training configuration of a trial.

        What the author leaves open follows from the sweep: the seeds, and that the weights kept are those of the epoch
        with the best value of the sweep's metric.
        """
        defaults: dict[str, Any] = {"seed": self.seed, "data.seed": self.seed}
        if self.metric in ("val_loss", "val_accuracy"):
            defaults["stopping.metric"] = self.metric
        unset = {key: value for key, value in defaults.items() if not self._sets(key)}
        return TrainConfig.of(self.train, {**unset, **config})

    def _sets(self, key: str) -> bool:
        node: Any = self.train
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return False
            node = node[part]
        return True

    def _probes(self) -> Iterator[Config]:
        """Configurations at the corners of the space: each parameter at each of its ends, the others drawn."""
        rng = np.random.default_rng(0)
        for index in range(len(self.space)):
            for end in (0.0, 0.25, 0.5, 0.75, 1.0):
                point = rng.random(len(self.space))
                point[index] = end
                yield self.space.from_unit(point)

    @model_validator(mode="after")
    def _check(self) -> Sweep:
        if self.metric not in metric_names():
            hint = nearest(self.metric, metric_names())
            raise ValueError(f"metric: must be one of {', '.join(metric_names())}, but got {self.metric!r};{hint}")
        if self.search.trials is None and (self.search.name != "grid"):
            raise ValueError("search.trials: must be a number unless search.name is 'grid', but got None")
        if self.search.name == "grid":
            next(self.space.grid())
        if self.compress and self.compress.best > self.keep_checkpoints:
            raise ValueError(
                f"compress.best: may be up to keep_checkpoints, {self.keep_checkpoints}, but got {self.compress.best}"
            )
        self._check_space()
        return self

    def _check_space(self) -> None:
        for where, config in [("train", {}), *(("space", probe) for probe in self._probes())]:
            try:
                find_builder(self.train_config(config).model)
            except ValidationError as error:
                raise ValueError(explain(error, TrainConfig, where)) from None
            except ModelError as error:
                raise ValueError(f"{where}: {error}") from None
        if self.asha and self.asha.grace_period > self.epochs:
            raise ValueError(
                f"asha.grace_period: must be at most train.epochs, {self.epochs}, but got {self.asha.grace_period}"
            )


def make_sweep(values: Mapping[str, Any], where: str = "sweep") -> Sweep:
    """A checked sweep; SweepError says what is wrong and where."""
    try:
        return Sweep.model_validate(dict(values))
    except ValidationError as error:
        raise SweepError(explain(error, Sweep, where)) from None


def load_sweep(path: str | Path) -> Sweep:
    """Reads a sweep from YAML. A relative `space` file is looked up beside the sweep's file first."""
    path = Path(path)
    values = load_changes(path)
    space = values.get("space")
    if isinstance(space, str) and (path.parent / space).is_file():
        values = {**values, "space": str(path.parent / space)}
    return make_sweep(values, str(path))


def load_changes(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, such as settings to change when a run is resumed."""
    try:
        values = read_yaml(Path(path))
    except SpaceError as error:
        raise SweepError(f"{path}: {error}") from None
    if not isinstance(values, Mapping):
        raise SweepError(f"{path}: must hold a mapping, but got {values!r}")
    return dict(values)


_FIXED = ("name", "storage", "seed", "metric", "mode", "train")


def changed(sweep: Sweep, changes: Mapping[str, Any]) -> Sweep:
    """The sweep with other settings, as a run that has begun may take them.

    Args:
        changes: in the shape of a sweep; sections are laid over those of the sweep, a space replaces the space.

    Raises:
        SweepError: they are no sweep, or would make what has been trained worthless.
    """
    values = sweep.model_dump(mode="json")
    for key, value in changes.items():
        old = values.get(key)
        values[key] = (
            {**old, **value} if key != "space" and isinstance(old, dict) and isinstance(value, Mapping) else value
        )
    after = make_sweep(values)
    for key in _FIXED:
        old, new = (getattr(one, key) for one in (sweep, after))
        if key == "train":
            old, new = ({name: part for name, part in train.items() if name != "epochs"} for train in (old, new))
        if old != new:
            raise SweepError(f"{key}: must stay {old!r} when a run is resumed, but got {new!r}")
    return after


def dump_sweep(sweep: Sweep) -> str:
    """YAML that loads to an equal sweep."""
    return yaml.safe_dump(sweep.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
