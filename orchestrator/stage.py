"""The post-stage as a sweep's author writes it: which students to make, who searches for them, what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from orchestrator.errors import SweepError
from orchestrator.sections import AshaConfig, LimitConfig, SearchConfig, SpaceField, folder_name
from orchestrator.settings_file import load_mapping
from search_spaces import Config, plain
from trainables.compress import CompressPlan, Target
from trainables.config import Count
from trainables.explain import explain
from trainables.storage import Place

RESERVED = ("parent", "control")
"""Names that a student's configuration has beside its settings."""


def is_control(config: Config) -> bool:
    """Whether a student's configuration is that of a control."""
    return bool(config.get("control"))


class StageConfig(CompressPlan):
    """Small models of the best trials: a grid of sizes, or a search over students.

    The settings of `compress.student` may stand directly under `compress` instead.

    Attributes:
        name: name of the students; a run can have several stages, each with a name of its own.
        space: what varies among the students, by the names of `compress.student`; None: the grid of `keep_macs`.
        search: the searcher of students and their number; None: the whole grid, or with a space 16 by Bayesian search.
        asha: early stopping of students that many others beat in both accuracy and cost; None: none.
        limits: limits of the search for students.
        against: cost of a student, which the search minimises beside the loss.
        models: most students of which models are made, those first that no other beats in both; None: all that
            trained to their end.
        max_accuracy_drop: points of accuracy (or hundredths of R²) on validation that the picked model may lose against
            the best parent.
        max_latency_ms: latency of the picked model at batch 1, in milliseconds.
        max_bytes: size of the file of the picked model, in bytes.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    failure: ClassVar[type[ValueError]] = SweepError

    name: Annotated[str, AfterValidator(folder_name)] = "student"
    space: SpaceField | None = None
    search: SearchConfig | None = None
    asha: AshaConfig | None = None
    limits: LimitConfig = LimitConfig()
    against: Target = "macs"
    models: Count | None = None
    max_accuracy_drop: Annotated[float, Field(ge=0)] | None = None
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    max_bytes: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _space_has_the_sizes(cls, values: Any) -> Any:
        """A grid of sizes beside a space must be asked for, and is then an error."""
        if isinstance(values, Mapping) and values.get("space") is not None:
            return {"keep_macs": None, **values}
        return values

    @model_validator(mode="after")
    def _has_values(self) -> StageConfig:
        if self.student.architecture is not None:
            plain(self.student.architecture.arguments, "student.architecture")
        return self

    @model_validator(mode="after")
    def _searches_a_space(self) -> StageConfig:
        if self.space is None:
            for name in ("search", "asha"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: must be left out unless there is a space to search")
            return self
        if self.keep_macs is not None:
            raise ValueError("keep_macs: must be left out where there is a space, in which it can vary")
        for name in RESERVED:
            if name in self.space.parameters:
                raise ValueError(f"space.parameters.{name}: must be no name that students have besides their settings")
        if self.search and (self.search.repeats > 1 or self.search.warm_start):
            name = "repeats" if self.search.repeats > 1 else "warm_start"
            raise ValueError(f"search.{name}: must be left out, since students have parents in common")
        return self

    @property
    def students_wanted(self) -> bool:
        """Whether there are to be any: without sizes, trials become models as they are."""
        return self.keep_macs is None or bool(self.keep_macs)

    @property
    def bounds(self) -> dict[str, float]:
        """What is asked of the model to pick, by name."""
        names = ("max_accuracy_drop", "max_latency_ms", "max_bytes")
        return {name: bound for name in names if (bound := getattr(self, name)) is not None}


def load_stage(path: Place) -> StageConfig:
    """Reads a stage from YAML; it is called as its file is if it has no name. Raises SweepError."""
    values = load_mapping(path)
    try:
        return StageConfig.parsed({"name": PurePath(str(path)).stem, **values})
    except ValidationError as error:
        lines = explain(error, StageConfig).splitlines()
        raise SweepError("\n".join(f"{path}: {line}" for line in lines)) from None
