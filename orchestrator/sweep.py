"""A sweep as its author writes it: what varies, who proposes, how trials run, what becomes of the winners."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from orchestrator.errors import SweepError
from orchestrator.sections import (
    AshaConfig,
    FaultConfig,
    LimitConfig,
    SearchConfig,
    Section,
    SpaceField,
    WorkerConfig,
    folder_name,
    values_under,
)
from orchestrator.settings_file import load_mapping
from orchestrator.stage import StageConfig, is_control
from search_spaces import Config, SpaceError, nearest, plain, shorten, to_yaml
from trainables import METRIC_MODES, ModelError, SettingError, TrainConfig, check_model, metric_names
from trainables.compress import StudentConfig, StudentTask
from trainables.config import Count, Seed, expand_home
from trainables.explain import explain
from trainables.imports import import_named
from trainables.loop import LoopConfig, LoopError, find_loop
from trainables.storage import Place, check_uri, join, local_path

__all__ = [
    "AshaConfig",
    "FaultConfig",
    "LimitConfig",
    "SearchConfig",
    "Sweep",
    "WorkerConfig",
    "dump_sweep",
    "load_sweep",
    "make_sweep",
    "place_of",
]


def _storage(place: str) -> str:
    if re.search(r"\$\w|\$\{", place):
        raise ValueError(f"must be written out, without variables, but got {shorten(place)}")
    if "://" in place:
        check_uri(place)
        return place
    if re.match(r"\w{2,}:/", place):
        raise ValueError(f"must have two slashes if it is a URI, but got {shorten(place)}")
    folder = expand_home(place)
    if len(os.fsencode(folder)) > 3000 or any(len(os.fsencode(part)) > 255 for part in Path(folder).parts):
        raise ValueError(f"must be no longer than a file system allows, but got {shorten(place)}")
    return folder


class Sweep(Section):
    """One search with everything that it needs; `Sweep(...)` in Python and `load_sweep(path)` from YAML are the same.

    Attributes:
        name: name of the run, and of its folder inside `storage`.
        seed: seed of every random choice of the sweep.
        storage: folder of runs, or its URI in an object store, as pyarrow.fs knows them; `~` is the home folder,
            environment variables are refused.
        space: what varies: parameters, the name of a shipped space, a YAML file, or in Python a `Space`.
        metric: metric by which trials are compared: `val_loss`, `val_accuracy`, `val_r2` or `train_loss`, or with a
            loop of one's own any name that it reports.
        mode: which of its values are better, `max` or `min`; left out, it is the direction of a metric of halving's own
            training, and `max` for others.
        concurrent: trials at a time; None: as many as fit the cluster.
        keep_checkpoints: number of the best finished trials whose checkpoints are kept.
        train: settings that all trials share, over which the values of the space are laid; with the key `loop`, those
            of a loop of one's own.
        compress: what becomes of the best trials after the search; None: nothing.
    """

    name: Annotated[str, AfterValidator(folder_name)]
    seed: Seed = 0
    storage: Annotated[str, AfterValidator(_storage)] = "runs"
    space: SpaceField
    search: SearchConfig = SearchConfig()
    asha: AshaConfig | None = AshaConfig()
    metric: str = "val_accuracy"
    mode: Literal["max", "min"] = "max"
    workers: WorkerConfig = WorkerConfig()
    concurrent: Count | None = None
    limits: LimitConfig = LimitConfig()
    faults: FaultConfig = FaultConfig()
    keep_checkpoints: Count = 5
    train: Annotated[dict[str, Any], values_under("train")] = Field(default_factory=dict)
    compress: StageConfig | None = None

    @property
    def folder(self) -> Place:
        """Where the run is."""
        return join(self.storage, self.name)

    @cached_property
    def beside(self) -> str:
        """The folder of the file that it was read from, in which the user's modules may be; empty if there was none."""
        return ""

    @property
    def sign(self) -> float:
        """What turns the metric into a loss: the searchers minimise."""
        return -1.0 if self.mode == "max" else 1.0

    @cached_property
    def epochs(self) -> int:
        """The most epochs that a trial may train."""
        return max(self.epochs_of(config) for config in self.space.corners())

    def epochs_of(self, config: Config) -> int:
        """The epochs that a trial of that configuration trains if nothing stops it."""
        return int(config.get("epochs", self._shared_epochs))

    @cached_property
    def _shared_epochs(self) -> int:
        return self.trial_config({}).epochs

    @property
    def has_own_loop(self) -> bool:
        """Whether a function of the user's own trains."""
        return "loop" in self.train

    @property
    def trains_students(self) -> bool:
        """Whether the trials are students of another run's."""
        return "student" in self.train

    def compares(self, config: Config) -> bool:
        """Whether ASHA may stop a trial of that configuration: not a control, whose student was not stopped either."""
        return not (self.trains_students and is_control(config))

    @property
    def most_trials(self) -> int | None:
        """How many trials there may be; None where the space has no end."""
        size = self.space.size
        known = [self.search.trials, size and size * self.search.repeats]
        return min((most for most in known if most is not None), default=None)

    def check(self) -> None:
        """Imports the user's constraints, models and loop, and looks at what the space can ask for; `run` and `resume`
        do it first.

        Apart from what a `Sweep` must always hold to, so that a run can be read without the user's code.

        Raises:
            SweepError: a constraint, model or loop cannot be found, or what the constraints allow breaks a rule, or a
                model does not take its arguments.
        """
        self._check_rules()
        try:
            self.space.check()
            self._check_configurations()
        except ValueError as error:
            raise SweepError(f"space.{error}" if isinstance(error, SpaceError) else str(error)) from None
        if self.has_own_loop:
            self._check_loop()
        elif not self.trains_students:
            self._check_models()

    def _check_rules(self) -> None:
        for number, rule in enumerate(self.space.constraints):
            try:
                if rule.path:
                    import_named(rule.path)
            except ValueError as error:
                raise SweepError(f"space.constraints.{number}: {error}") from None

    def _check_loop(self) -> None:
        try:
            find_loop(self.loop_config({}).loop)
        except LoopError as error:
            raise SweepError(f"train.loop: {error}") from None

    def _check_models(self) -> None:
        for config in self.space.corners():
            try:
                check_model(self.train_config(config).model)
            except ModelError as error:
                where = place_of(config, error.key).removesuffix(error.key)
                raise SweepError(f"{where}{error}") from None

    def train_config(self, config: Config, repeat: int = 0) -> TrainConfig:
        """The complete training configuration of a trial.

        What the author leaves open follows from the sweep: the seeds, and that the weights kept are those of the epoch
        with the best value of the sweep's metric. A repeat, counted from 0, has a training seed of its own.
        """
        defaults: dict[str, Any] = {"seed": self.seed + repeat, "data.seed": self.seed}
        if self.metric in ("val_loss", "val_accuracy", "val_r2"):
            defaults["stopping.metric"] = self.metric
        unset = {key: value for key, value in defaults.items() if not self._sets(key)}
        return TrainConfig.of(self.train, {**unset, **config})

    def loop_config(self, config: Config, repeat: int = 0) -> LoopConfig:
        """What a trial gives to the user's own loop; a seed that its author leaves open follows from the sweep."""
        return LoopConfig.of({"seed": self.seed + repeat, **self.train}, config)

    def trial_config(self, config: Config, repeat: int = 0) -> TrainConfig | LoopConfig | StudentTask:
        """The complete configuration of a trial, whoever trains it."""
        if self.trains_students:
            return StudentTask.of(self.train, config)
        return self.loop_config(config, repeat) if self.has_own_loop else self.train_config(config, repeat)

    def _sets(self, key: str) -> bool:
        node: Any = self.train
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return False
            node = node[part]
        return True

    @model_validator(mode="before")
    @classmethod
    def _known_mode(cls, values: Any) -> Any:
        """Fill in the direction of a known metric where the author leaves it open."""
        if not isinstance(values, Mapping) or "mode" in values:
            return values
        metric = values.get("metric")
        known = METRIC_MODES.get(metric) if isinstance(metric, str) else None
        return {**values, "mode": known} if known else values

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Sweep:
        self._check_metric()
        known = METRIC_MODES.get(self.metric, self.mode)
        if self.mode != known and not (info.context or {}).get("written"):
            raise ValueError(f"mode: must be {known!r} for the metric {self.metric}, but got {self.mode!r}")
        if self.search.trials is None and (self.search.name != "grid"):
            raise ValueError("search.trials: must be a number unless search.name is 'grid', but got None")
        self._check_search()
        if self.compress and self.compress.best > self.keep_checkpoints:
            raise ValueError(
                f"compress.best: may be up to keep_checkpoints, {self.keep_checkpoints}, but got {self.compress.best}"
            )
        if self.has_own_loop:
            self._check_fits_loop()
        self._check_space()
        return self

    def _check_metric(self) -> None:
        if not self.has_own_loop and self.metric not in metric_names():
            hint = nearest(self.metric, metric_names())
            rule = f"metric: must be one of {', '.join(metric_names())}, but got {self.metric!r}"
            raise ValueError(rule + (f";{hint}" if hint else ""))

    def _check_fits_loop(self) -> None:
        """What only our own training can do."""
        if self.compress:
            rule = "must be null where train.loop trains, since only models that halving builds can be compressed"
            raise ValueError(f"compress: {rule}, but got {shorten(self.compress.model_dump(exclude_unset=True))}")
        if self.workers.count > 1:
            rule = "must be 1 where train.loop trains, which may start processes of its own"
            raise ValueError(f"workers.count: {rule}, but got {self.workers.count}")

    def _check_search(self) -> None:
        search = self.search
        for key in ("warm_start", "per_second"):
            if getattr(search, key) and search.name != "bayes":
                got = shorten(getattr(search, key))
                raise ValueError(f"search.{key}: must be left out unless search.name is 'bayes', but got {got}")
        if search.repeats > 1 and (self._sets("seed") or "seed" in self.space.parameters):
            where = "train.seed" if self._sets("seed") else "space.parameters.seed"
            raise ValueError(f"search.repeats: must be 1 where {where} gives the seed, but got {search.repeats}")
        if self.seed + search.repeats > 2**32:
            raise ValueError(f"seed: must be at most 2**32 - search.repeats, but got {self.seed}")

    def _check_space(self) -> None:
        """Whatever can be said of the space and its configurations without importing the user's functions."""
        try:
            self.space.to_dict()  # refuses functions that resuming could not find again
            if self.search.name == "grid":
                self.space.grid()
            if self.space.is_loaded:
                self._check_configurations()
        except SpaceError as error:
            raise error.within("space") from None

    def _check_configurations(self) -> None:
        """What may be tried, first or at all, can be trained."""
        self._check_training()
        self._check_asha()
        for number, config in enumerate(self.search.start):
            try:
                self.space.complete(config)
            except SpaceError as error:
                raise ValueError(str(error.within(f"search.start.{number}"))) from None

    def _check_training(self) -> None:
        shape = LoopConfig if self.has_own_loop else StudentConfig if self.trains_students else TrainConfig
        shared = "" if self.trains_students else "train."
        for config in ({}, *self.space.corners()):
            try:
                train = self.trial_config(config)
            except SettingError as error:
                place = partial(place_of, config, shared=shared)
                raise ValueError(explain(error.validation, shape, place) if error.validation else str(error)) from None
            if config and isinstance(train, TrainConfig):
                self._check_workers(config, train)

    def _check_workers(self, config: Config, train: TrainConfig) -> None:
        """A trial's workers are replicas of so many stages each, and BatchNorm wants two rows of each replica."""
        count, stages = self.workers.count, train.parallel.stages
        if count % stages:
            where = place_of(config, "parallel.stages")
            raise ValueError(f"workers.count: must be a multiple of {where}, {stages}, but got {count}")
        if train.batch_size < 2 * (count // stages):
            rule = "must be at least 2 x workers.count" + (" / parallel.stages" if stages > 1 else "")
            where = place_of(config, "batch_size")
            raise ValueError(f"{where}: {rule}, {2 * (count // stages)}, but got {train.batch_size}")

    def _check_asha(self) -> None:
        if not self.asha:
            return
        grace, brackets = self.asha.grace_period, self.asha.brackets
        if grace > self.epochs:
            whose = "epochs" if self.trains_students else "train.epochs"
            raise ValueError(f"asha.grace_period: must be at most {whose}, {self.epochs}, but got {grace}")
        rungs = self.asha.rungs(self.epochs)
        if brackets > rungs:
            rule = f"asha.brackets: must be at most {rungs}, the rungs from {grace} to {self.epochs} epochs"
            raise ValueError(f"{rule} at reduction_factor {self.asha.reduction_factor:g}, but got {brackets}")


def place_of(config: Config, key: str, shared: str = "train.") -> str:
    """Where a key of the training configuration comes from: the space or what all trials share, which begins so."""
    varies = any(key == name or key.startswith(f"{name}.") for name in config)
    return f"space.parameters.{key}" if varies else f"{shared}{key}"


def make_sweep(values: Mapping[str, Any], where: str = "sweep: ", *, written: bool = False) -> Sweep:
    """A checked sweep; SweepError says what is wrong, each line with `where` before it.

    written: the values are a run's, perhaps of an earlier version, and are read without the rules that came later.
    """
    try:
        return Sweep.parsed(dict(values), context={"written": written})
    except ValidationError as error:
        lines = explain(error, Sweep).splitlines()
        raise SweepError("\n".join(f"{where}{line}" for line in lines)) from None


def load_sweep(path: Place, *, written: bool = False) -> Sweep:
    """Reads a sweep from YAML. Relative paths in `space` and `search.warm_start` are looked up beside it first.

    written: as for `make_sweep`.
    """
    values, local = load_mapping(path), local_path(path)
    if local is not None:
        values |= _beside(local.parent, values)
    sweep = make_sweep(values, f"{path}: ", written=written)
    if local is not None and not written:
        sweep.__dict__["beside"] = str(local.parent)  # as cached_property keeps it: no setting, and not compared
    return sweep


def _beside(folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a sweep that name what is in the folder, with its path."""

    def found(name: Any) -> Any:
        with suppress(OSError, ValueError):  # no name that a file could have
            if isinstance(name, str) and name and (folder / name).exists():
                return str(folder / name)
        return name

    search, changed = values.get("search"), {}
    if "space" in values:
        changed["space"] = found(values["space"])
    if isinstance(search, Mapping) and isinstance(places := search.get("warm_start"), list):
        changed["search"] = {**search, "warm_start": [found(place) for place in places]}
    return changed


def dump_sweep(sweep: Sweep) -> str:
    """YAML that loads to an equal sweep. Raises SpaceError for what is no value, which only a copy can hold."""
    return to_yaml(plain(sweep.model_dump()))
