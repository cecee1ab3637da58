"""What one training run is made of: frozen, checked settings, each part beside its defaults."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from copy import deepcopy
from math import sqrt
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails

from trainables.settings import Settings

Laid = TypeVar("Laid", bound=Settings)

Count = Annotated[int, Field(ge=1, le=10**9)]
"""How many of something; more can only be a mistake."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every random generator takes."""
Probability = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], Field(strict=False), PlainSerializer(list)]
"""A list in YAML; a tuple here, so that a config can be a key."""


class DataConfig(Settings):
    """The data, and how they are split into training, validation and test examples.

    Data that come in parts of their own keep them: `validation` and `test` are for a part that they do not have. A
    setting that a kind of data does not take must be left out.

    Attributes:
        name: kind of data: digits, fashion_mnist, idx, images, npz or table.
        path: the file or folder of data that is read from files.
        validation: fraction of the training examples held out for validation.
        test: fraction of the training examples held out for the final score of models.
        seed: of the split, apart from the seed of training.
        size: the side in pixels to which images from files are resized; None keeps the size that all of them have.
        fit: how an image that is not square becomes so: cut to the middle, padded with black, or stretched.
        channels: of images from files; None is colour if any of them is.
        strict: whether an image that cannot be read is an error; else it is left out, with a warning.
        target: the column of a table to predict.
        task: None lets the target decide: text, truth values and up to 20 different whole numbers are classes.
        split: the column of a table that says train, validation or test.
        drop: columns of a table that are no features.
        categorical: columns of a table whose numbers or dates are names.
        dates: columns of a table whose dates are taken apart into numbers.
        separator: the character between the values of a CSV file; None finds it out.
        decimal: the decimal sign of numbers in a CSV file that are ambiguous, such as 1,234; None finds it out.
        encoding: of a CSV file, such as cp1252; None is UTF-8, or what its byte order mark says.
    """

    name: str = "digits"
    path: str | None = None
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Seed = 0
    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    fit: Literal["crop", "pad", "stretch"] = "crop"
    channels: Literal["grey", "colour"] | None = None
    strict: bool = False
    target: str | None = None
    task: Literal["classification", "regression"] | None = None
    split: str | None = None
    drop: Names = ()
    categorical: Names = ()
    dates: Names = ()
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None

    @field_validator("separator")
    @classmethod
    def _is_one_character(cls, separator: str | None) -> str | None:
        if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
            raise ValueError(f"must be one character, such as ';' or \"\\t\", but got {separator!r}")
        return separator

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        try:
            return None if encoding is None else codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"must be an encoding that Python knows, such as cp1252, but got {encoding!r}") from None

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        """The processes of a cluster have working folders of their own."""
        return None if path is None else str(Path(expand_home(path)).absolute())

    @field_validator("test")
    @classmethod
    def _leaves_training_images(cls, test: float, info: ValidationInfo) -> float:
        validation = info.data.get("validation", 0.0)
        if validation + test >= 1:
            raise ValueError(f"`validation + test < 1` must hold, but got {validation} + {test}")
        return test


class AugmentConfig(Settings):
    """Random changes to training inputs, drawn anew for each example and epoch; 0 switches a change off.

    Attributes:
        rotate: largest angle either way, in degrees.
        shift: largest move either way, as a fraction of the side.
        zoom: largest change of size either way, as a fraction of it.
        shear: largest angle either way, in degrees.
        flip: probability of a left-right mirror image.
        flip_vertical: probability of an upside-down mirror image.
        crop: pixels of reflected border before a random crop to size.
        brightness: largest change of values, which are from 0 to 1.
        contrast: largest change of the distance to the mean of the image, as a fraction of it.
        erase: probability that a rectangle of random grey is drawn.
        erase_area: largest area of that rectangle, as a fraction of the image.
        mixup: alpha of Beta(alpha, alpha), the share of another example; for images and tables. With `cutmix` as well,
            each example takes one of the two at random.
        cutmix: alpha of Beta(alpha, alpha), the area taken from another image.
    """

    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    flip: Probability = 0.0
    flip_vertical: Probability = 0.0
    crop: Annotated[int, Field(ge=0, le=10**4)] = 0
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    erase: Probability = 0.0
    erase_area: Annotated[float, Field(gt=0, le=1)] = 0.25
    mixup: Annotated[float, Field(ge=0, le=100)] = 0.0
    cutmix: Annotated[float, Field(ge=0, le=100)] = 0.0


class ModelConfig(Settings):
    """The network. Every other key is an argument of its builder.

    Attributes:
        name: mlp, cnn, resnet, mobile or "package.module:Callable", called with (input_shape, outputs, **arguments).
    """

    model_config = ConfigDict(extra="allow")

    name: str = "resnet"

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the builder."""
        return deepcopy(self.model_extra or {})


class OptimizerConfig(Settings):
    """The optimiser.

    Attributes:
        name: sgd has Nesterov's momentum; adam, adamw and rmsprop are those of torch.
        lr: learning rate, before the schedule.
        momentum: of sgd and rmsprop; adam and adamw ignore it.
        weight_decay: of matrices and kernels, not of norms and biases; decoupled for adamw, added to the gradient for
            the others.
        clip_norm: largest norm of the gradient of the whole model, to which a longer one is scaled; None: no limit.
        lr_scaling: with linear or sqrt, `lr` is meant for `base_batch` and grows with the global batch or its root.
        base_batch: global batch size for which `lr` is meant; used with `lr_scaling`.
    """

    name: Literal["sgd", "adam", "adamw", "rmsprop"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    lr_scaling: Literal["none", "linear", "sqrt"] = "none"
    base_batch: Count = 256

    def scaled_lr(self, batch_size: int) -> float:
        """The rate for that global batch (linear: Goyal et al. 2017, arXiv:1706.02677)."""
        ratio = batch_size / self.base_batch
        return self.lr * {"none": 1.0, "linear": ratio, "sqrt": sqrt(ratio)}[self.lr_scaling]


class ScheduleConfig(Settings):
    """The learning rate over time.

    Attributes:
        name: constant, step, exponential, cosine, plateau, or one_cycle (Smith and Topin 2017, arXiv:1708.07120).
        step_size: epochs between two steps of step.
        gamma: factor of each step of step, of each epoch of exponential, and of each plateau.
        patience: epochs without a lower val_loss that plateau tolerates.
        warmup: epochs of a linear climb to `lr`, after which the schedule begins; of one_cycle the length of its climb,
            where 0 stands for 0.3 of all epochs.
    """

    name: Literal["constant", "step", "exponential", "cosine", "one_cycle", "plateau"] = "cosine"
    step_size: Count = 10
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.3
    patience: Annotated[int, Field(ge=0)] = 5
    warmup: Annotated[int, Field(ge=0)] = 0


class StoppingConfig(Settings):
    """The epoch whose weights are kept, and early stopping.

    Attributes:
        metric: of the best epoch, whose weights are kept; in a sweep, the metric of the sweep unless it is set.
        patience: epochs without a gain of more than `min_delta` after which training stops; None: no early stopping.
        min_delta: least gain that counts, in units of the metric.
    """

    metric: Literal["val_loss", "val_accuracy", "val_r2"] = "val_loss"
    patience: Count | None = None
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class ParallelConfig(Settings):
    """How the workers of a trial share one model; those that make up no further stage train data parallel.

    Attributes:
        stages: contiguous parts of the model, one worker each.
        schedule: gpipe does all forward passes first; 1f1b goes back as soon as it can and holds fewer activations.
        micro_batches: parts of a batch, which follow each other through the stages.
        balance: what stages have equally much of: parameters, or time as measured.
        cut: names of the layers with which the second stage and those after it begin, instead of a balance.
    """

    stages: Count = 1
    schedule: Literal["gpipe", "1f1b"] = "gpipe"
    micro_batches: Annotated[Count, Field(validate_default=True)] = 4
    balance: Literal["parameters", "time"] = "parameters"
    cut: list[str] = Field(default_factory=list)

    @field_validator("micro_batches")
    @classmethod
    def _fills_the_stages(cls, parts: int, info: ValidationInfo) -> int:
        stages = info.data.get("stages", 1)
        if info.data.get("schedule") == "1f1b" and parts < stages:
            raise ValueError(f"must be at least stages, {stages}, for 1f1b, but got {parts}")
        return parts

    @field_validator("cut")
    @classmethod
    def _cuts_so_often(cls, cut: list[str], info: ValidationInfo) -> list[str]:
        cuts = info.data.get("stages", 1) - 1
        if cut and len(cut) != cuts:
            raise ValueError(f"must name stages - 1 layers, {cuts}, but got {cut}")
        return cut


class TrainConfig(Settings):
    """One training run.

    Attributes:
        epochs: passes over the training examples.
        batch_size: examples of a step, of all workers together.
        seed: of weights, order and augmentation; in a sweep it follows from the seed of the sweep unless it is set.
        accumulate: parts in which a worker's share of the batch goes through the model, to save memory; the step is
            that of the whole batch.
        label_smoothing: the share of a label that is spread over all classes alike (Szegedy et al. 2016).
        ema: decay per step of a moving average of the weights, which is then evaluated and kept; 0: none.
        precision: of the model's operations; auto is bfloat16 on GPUs that have it, float32 elsewhere. Weights, losses
            and evaluation stay float32.
        channels_last: the layout of images in memory; None has it for shipped models, whose code allows either.
        compile: auto records a step on a GPU as a CUDA graph and replays it, where it does the same each time; graph
            is an error where there is no GPU or more than one worker; off, and false, launch each step from Python;
            true is torch.compile, whose minutes are worth it for long trainings.
    """

    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    epochs: Count = 27
    batch_size: Annotated[Count, Field(ge=2)] = 64
    seed: Seed = 0
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    stopping: StoppingConfig = StoppingConfig()
    parallel: ParallelConfig = ParallelConfig()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    accumulate: Count = 1
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    channels_last: bool | None = None
    compile: bool | Literal["auto", "graph", "off"] = "auto"

    @field_validator("precision")
    @classmethod
    def _stages_scale_alike(cls, precision: str, info: ValidationInfo) -> str:
        """Gradients of float16 are scaled by what each rank has seen of them."""
        parallel = info.data.get("parallel")
        if precision == "float16" and parallel and parallel.stages > 1:
            raise ValueError(f"must be auto, float32 or bfloat16 where parallel.stages is above 1, but got {precision}")
        return precision

    @field_validator("compile", mode="before")
    @classmethod
    def _off_is_false(cls, compile: Any) -> Any:
        """As YAML reads `off`, and as earlier versions wrote it."""
        return "off" if compile is False else compile

    @field_validator("compile")
    @classmethod
    def _graphs_are_whole(cls, compile: Any, info: ValidationInfo) -> Any:
        parallel = info.data.get("parallel")
        if compile == "graph" and parallel and parallel.stages > 1:
            raise ValueError(f"must be auto, off or true where parallel.stages is above 1, but got {compile}")
        return compile

    @field_validator("schedule")
    @classmethod
    def _warmup_ends(cls, schedule: ScheduleConfig, info: ValidationInfo) -> ScheduleConfig:
        epochs = info.data.get("epochs")
        if epochs is not None and schedule.warmup >= epochs:
            raise ValueError(f"`warmup < epochs` must hold, but got {schedule.warmup} and {epochs}")
        return schedule

    @classmethod
    def of(cls, base: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Self:
        """The nested `base` with flat dotted `overrides` ({"optimizer.lr": 0.1}) laid over it. Raises SettingError."""
        try:
            return laid_over(cls, base, overrides or {})
        except ValidationError as error:
            raise cls.failed(error) from None


def laid_over(model: type[Laid], base: Mapping[str, Any], overrides: Mapping[str, Any]) -> Laid:
    """Settings of `model` from the nested `base` with flat dotted `overrides` laid over it.

    Raises pydantic's ValidationError, in which each error's `loc` is the key's path.
    """
    merged = _mutable(base)
    for key, value in overrides.items():
        _lay_over(model, merged, key, value)
    return model.parsed(merged)


def expand_home(path: str) -> str:
    """The path with the user's home folder for `~`. Raises ValueError for what can be no path of a file."""
    if not path or "\0" in path:
        raise ValueError(f"must be a path, but got {path!r}")
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ValueError(f"must begin with a home folder that there is, but got {path!r}") from None


def _mutable(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _mutable(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _lay_over(model: type[BaseModel], tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = path = key.split(".")
    for depth, section in enumerate(sections, 1):
        found = tree.setdefault(section, {})
        if found is None and depth == 1 and _may_be_missing(model, section):
            found = tree[section] = {}
        if not isinstance(found, dict):
            raise _no_section(model, path, depth, found, value)
        tree = found
    tree[last] = value


def _may_be_missing(model: type[BaseModel], section: str) -> bool:
    field = model.model_fields.get(section)
    return field is not None and field.default is None


def _no_section(model: type[BaseModel], path: list[str], depth: int, found: Any, value: Any) -> ValidationError:
    """The first `depth` parts of `path` lead to a value: where a section belongs that is wrong, else the path is."""
    field = model.model_fields.get(path[0])
    section = field.annotation if field and depth == 1 else None
    if isinstance(section, type) and issubclass(section, BaseModel):
        context = {"class_name": section.__name__}
        error = InitErrorDetails(type="model_type", loc=(path[0],), input=found, ctx=context)
    else:
        error = InitErrorDetails(type="extra_forbidden", loc=tuple(path), input=value)
    return ValidationError.from_exception_data(model.__name__, [error])
