"""What compression is asked to do, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import nn

from trainables.config import Count, TrainConfig

Fraction = Annotated[float, Field(gt=0, lt=1)]


class CompressPlan(BaseModel):
    """How many of the best trials to compress, to which fractions of their multiply-accumulates, and how.

    `epochs` and `lr` are those of the training after pruning; `distil_weight` is the share of the parent's
    predictions, softened by `temperature`, in its loss. Without `keep_macs` models are exported as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    best: Count = 2
    keep_macs: Annotated[tuple[Fraction, ...], Field(strict=False)] = (0.5, 0.25)  # YAML has lists only
    epochs: Count = 10
    lr: float = Field(0.02, gt=0)
    temperature: float = Field(4.0, gt=0)
    distil_weight: float = Field(0.7, ge=0, le=1)
    importance: Literal["magnitude"] = "magnitude"

    @field_validator("keep_macs")
    @classmethod
    def _differ(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(fractions)) < len(fractions):
            raise ValueError(f"must differ from each other, but got {list(fractions)}")
        return fractions


@dataclass(frozen=True)
class Parent:
    """A trained model, the config that it was trained with and the name of its trial."""

    model: nn.Module
    train: TrainConfig
    trial: str = "model"


@dataclass(frozen=True, kw_only=True)
class CompressedModel:
    """One row of the table of models. The accuracies and the parity are those of the ONNX file at `path`.

    A model that fails its checks is "rejected" and says why in `reason`. What was not reached is None: a model
    that could not be made at all has no file and no accuracies. Accuracies are fractions; bytes are the file's.
    """

    id: str
    parent: str
    kind: Literal["dense", "pruned"]
    keep_macs: float
    """The fraction of the parent's operations that was asked for; `macs` is what is left."""
    status: Literal["ok", "rejected"]
    reason: str = ""
    macs: int | None = None
    parameters: int | None = None
    bytes: int | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    parity_max_abs_error: float | None = None
    parity_agreement: float | None = None
    path: str | None = None
    seconds: float = 0.0
