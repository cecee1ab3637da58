"""What compression is asked to do."""

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
    predictions, softened by `temperature`, in its loss. Without `keep_macs` models are exported as they are. With
    `int8` each model has a quantised one beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    best: Count = 2
    keep_macs: Annotated[tuple[Fraction, ...], Field(strict=False)] = (0.5, 0.25)  # YAML has lists only
    epochs: Count = 10
    lr: float = Field(0.02, gt=0)
    temperature: float = Field(4.0, gt=0)
    distil_weight: float = Field(0.7, ge=0, le=1)
    importance: Literal["magnitude"] = "magnitude"
    int8: bool = True

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
