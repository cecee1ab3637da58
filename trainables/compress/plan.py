"""What compression is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PlainSerializer, field_validator, model_validator
from torch import nn

from trainables.config import (
    AugmentConfig,
    Count,
    ModelConfig,
    Names,
    OptimizerConfig,
    ParallelConfig,
    ScheduleConfig,
    StoppingConfig,
    TrainConfig,
)
from trainables.settings import Settings

Target = Literal["macs", "parameters", "latency"]
Importance = Literal["magnitude", "taylor", "bn_scale"]
Scope = Literal["global", "local"]
Kind = Literal["pruned", "sparse", "network"]
"""What was done to the parent: channels gone, single weights gone, or another network in its place."""
Loss = Literal["cross_entropy", "kl", "logit_standard", "dkd", "dist", "hints"]

Fraction = Annotated[float, Field(gt=0, lt=1)]


class StudentConfig(Settings):
    """Settings of a student: a small model made from its parent and trained to predict as its teacher does.

    Attributes:
        keep_macs: fraction of the cost of the parent to keep, by pruning whole channels; None or 1: no pruning.
        target: cost that `keep_macs` is a fraction of: operations, parameters, or latency (ONNX Runtime, one thread,
            batch 1), which is measured, so that the same settings need not give the same model twice.
        importance: channels pruned first: those of small weights, of small influence on the loss (Taylor), or of small
            BatchNorm scales.
        scope: prune the least important channels of the whole network, or the same fraction of each layer.
        steps: rounds of pruning, each by the same factor, with the epochs divided among them.
        keep: names of layers that are not pruned, neither their inputs nor their outputs.
        sparsity: fraction of the weights of matrices and kernels set to zero. The file becomes smaller, the model no
            faster.
        architecture: smaller network trained from scratch in place of the pruned parent, as in `train.model`.
        loss: loss against the teacher, beside the loss of the task; cross_entropy: no teacher.
        temperature: divisor of the logits of teacher and student in that loss.
        distil_weight: weight of that loss; the rest is the weight of the loss of the task.
        teachers: number of the best trials whose mean prediction teaches, at most `best`; 0: the parent alone.
        epochs: epochs of training.
        lr: learning rate of SGD, at the start of its cosine schedule.
        weight_decay: weight decay; None: that of the parent.
        batch_size: examples of a step; None: that of the parent.
        augment: augmentation, all of it; None: that of the parent. A small network may need less than its parent.
    """

    keep_macs: Annotated[float, Field(gt=0, le=1)] | None = 0.5
    target: Target = "macs"
    importance: Importance = "magnitude"
    scope: Scope = "global"
    steps: Count = 1
    keep: Names = ()  # YAML has lists only
    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0
    architecture: ModelConfig | None = None
    loss: Loss = "kl"
    temperature: Annotated[float, Field(gt=0)] = 4.0
    distil_weight: Annotated[float, Field(ge=0, le=1)] = 0.7
    teachers: Annotated[int, Field(ge=0, le=100)] = 0
    epochs: Count = 10
    lr: Annotated[float, Field(gt=0)] = 0.02
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    batch_size: Annotated[Count, Field(ge=2)] | None = None
    augment: AugmentConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_not_pruned(cls, values: Any) -> Any:
        """An architecture is not pruned unless that is said, which is then an error."""
        if isinstance(values, Mapping) and values.get("architecture") is not None:
            return {"keep_macs": None, **values}
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.architecture is not None and self.prunes:
            raise ValueError(f"keep_macs: must be left out where architecture is given, but got {self.keep_macs}")
        if self.prunes and self.steps > self.epochs:
            raise ValueError(f"steps: must be at most epochs, {self.epochs}, but got {self.steps}")
        return self

    @property
    def prunes(self) -> bool:
        """Whether channels are to go."""
        return self.keep_macs is not None and self.keep_macs < 1

    @property
    def rounds(self) -> tuple[float, ...]:
        """What to keep after each round of pruning, each of which trains; a single 1 if nothing is pruned."""
        if self.keep_macs is None or not self.prunes:
            return (1.0,)
        return tuple(float(self.keep_macs ** (done / self.steps)) for done in range(1, self.steps + 1))

    @property
    def kind(self) -> Kind:
        """What the student is to its parent."""
        if self.architecture is not None:
            return "network"
        return "sparse" if self.sparsity and not self.prunes else "pruned"

    @property
    def has_teacher(self) -> bool:
        """Whether it learns from anything but the targets."""
        return self.loss != "cross_entropy" and self.distil_weight > 0

    def training(self, parent: TrainConfig) -> TrainConfig:
        """As a parent was trained, but by SGD with a cosine, as the student's settings say.

        Averages of weights would blur zeros, and hooks and stages of a model do not go together.
        """
        decay = parent.optimizer.weight_decay if self.weight_decay is None else self.weight_decay
        return parent.model_copy(
            update={
                "model": self.architecture or parent.model,
                "epochs": self.epochs,
                "batch_size": self.batch_size or parent.batch_size,
                "augment": self.augment or parent.augment,
                "optimizer": OptimizerConfig(lr=self.lr, weight_decay=decay, clip_norm=parent.optimizer.clip_norm),
                "schedule": ScheduleConfig(),
                "stopping": StoppingConfig(metric=parent.stopping.metric),
                "parallel": ParallelConfig(),
                "ema": 0.0 if self.sparsity else parent.ema,
                "compile": "off" if parent.compile is True and self.loss == "hints" else parent.compile,
            }
        )

    def control(self) -> StudentConfig:
        """The same student without a teacher, to compare with."""
        return self.model_copy(update={"loss": "cross_entropy"})


class CompressPlan(Settings):
    """Which of the best trials to compress into what, and what is asked of the models.

    Settings of `student` may be given beside the others instead, so that `{keep_macs: [0.5], epochs: 5}` is a plan.

    Attributes:
        best: number of the best trials that are parents; at most `keep_checkpoints`.
        keep_macs: fractions of the operations to keep, a student of each parent for each; None: one student, as
            `student` says; an empty list: models of the parents alone.
        student: settings that the students share.
        int8: make a quantised model of each model as well.
    """

    short_form: ClassVar[type[Settings]] = StudentConfig

    best: Count = 2
    keep_macs: Annotated[tuple[Fraction, ...], Field(strict=False), PlainSerializer(list)] | None = (0.5, 0.25)
    student: StudentConfig = StudentConfig()
    int8: bool = True

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, values: Any) -> Any:
        """Moves settings of the student to it; a student with a size of its own leaves no grid of sizes."""
        if not isinstance(values, Mapping):
            return values
        own = {key: value for key, value in values.items() if key in cls.model_fields}
        beside = {key: value for key, value in values.items() if key not in own and key in cls.short_form.model_fields}
        if beside and "student" in own:
            raise ValueError(f"student: must hold all its settings, but {', '.join(beside)} stands beside it")
        student = own.get("student", beside)
        if isinstance(student, Mapping) and ("keep_macs" in student or student.get("architecture") is not None):
            own.setdefault("keep_macs", None)
        if beside:
            own["student"] = StudentConfig.parsed(beside)
        return {**own, **{key: value for key, value in values.items() if key not in own and key not in beside}}

    @field_validator("keep_macs")
    @classmethod
    def _differ(cls, fractions: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if fractions and len(set(fractions)) < len(fractions):
            raise ValueError(f"must differ from each other, but got {list(fractions)}")
        return fractions

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.keep_macs and self.student.architecture is not None:
            raise ValueError(
                f"keep_macs: must be left out where student.architecture is given, but got {list(self.keep_macs)}"
            )
        asked = "architecture" if self.student.architecture is not None else "sparsity" if self.student.sparsity else ""
        if self.keep_macs == () and asked:
            raise ValueError(f"keep_macs: must ask for students where there is their {asked}, but got []")
        return self

    @property
    def students(self) -> tuple[StudentConfig, ...]:
        """The students of each parent, without their controls."""
        if self.keep_macs is None:
            return (self.student,)
        return tuple(self.student.model_copy(update={"keep_macs": keep}) for keep in self.keep_macs)


@dataclass(frozen=True)
class Parent:
    """A trained model, the config that it was trained with and the name of its trial."""

    model: nn.Module
    train: TrainConfig
    trial: str = "model"
