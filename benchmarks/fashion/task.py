"""What both ways are given: the same data, model, space, epochs, and two trials at a time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from search_spaces import Choice, LogUniform, Space, Uniform
from trainables import DataConfig, Dataset, Split, TrainConfig, load_data

CONCURRENT = 2
REDUCTION = 3
METRIC = "val_accuracy"
_PARTS = ("train", "validation", "test")

SPACE = Space(
    {
        "optimizer.lr": LogUniform(1e-4, 1.0),
        "optimizer.momentum": Uniform(0.0, 0.99),
        "optimizer.weight_decay": LogUniform(1e-6, 1e-1),
        "batch_size": Choice((64, 128, 256)),
        "model.width": Choice((4, 8, 16)),
    }
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One search of one way.

    data: a DataConfig as JSON. folder: where the way may write. minutes: when the search ends at the latest.
    """

    seed: int
    trials: int
    epochs: int
    data: dict[str, Any]
    folder: str
    minutes: float | None = None

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def train(self) -> dict[str, Any]:
        """What all trials share, in the shape of TrainConfig."""
        return {
            "data": self.data,
            "model": {"name": f"{__name__}:convnet"},
            "augment": {"crop": 2, "flip": 0.5, "rotate": 0.0, "shift": 0.0},
            "optimizer": {"name": "sgd"},
            "schedule": {"name": "cosine"},
            "epochs": self.epochs,
            "seed": self.seed,
        }

    def train_config(self, config: dict[str, Any]) -> TrainConfig:
        """One trial of the search."""
        return TrainConfig.of(self.train, config)


def save_data(config: DataConfig, path: Path) -> None:
    """The split data as one file of tensors, quicker to load than what it is made from."""
    data = load_data(config)
    parts = {name: (part.inputs, part.targets) for name in _PARTS for part in [getattr(data, name)]}
    torch.save({**parts, "classes": data.classes, "mean": data.mean, "std": data.std}, path)


def load_saved(path: Path) -> Dataset:
    """What `save_data` saved."""
    saved = torch.load(path, weights_only=True)
    return Dataset(**{**saved, **{name: Split(*saved[name]) for name in _PARTS}})


def convnet(input_shape: tuple[int, ...], classes: int, width: int = 8) -> nn.Module:
    """Two convolutions that halve the side, and a linear layer."""
    channels, *sides = input_shape
    return nn.Sequential(
        *_convolution(channels, width),
        *_convolution(width, 2 * width),
        nn.Flatten(),
        nn.Linear(2 * width * prod(-(-side // 4) for side in sides), classes),
    )


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU()
