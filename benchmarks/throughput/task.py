"""What all ways are given: the same pictures, network, changes and optimiser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainables import Dataset, TrainConfig, load_data

CHANGES = {
    **{"rotate": 10.0, "shift": 0.1, "zoom": 0.1, "shear": 5.0, "flip": 0.5, "crop": 2},
    **{"brightness": 0.1, "contrast": 0.2, "erase": 0.25},
}
# A step of either takes about 5 ms and 250 ms on one core: what surrounds it weighs much, and hardly anything.
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "width": 128, "depth": 2},
    "resnet": {"name": "resnet", "width": 16, "depth": 2},
}


def configured(model: str, epochs: int) -> TrainConfig:
    """As a trial has it."""
    return TrainConfig.of(
        {
            "data": {"name": "fashion_mnist", "validation": 1 / 60},
            "model": MODELS[model],
            "augment": CHANGES,
            "optimizer": {"name": "sgd", "lr": 0.05},
            "schedule": {"name": "constant"},
            "epochs": epochs,
            "batch_size": 128,
        }
    )


def loaded(config: TrainConfig, images: int | None) -> Dataset:
    """With the first `images` of the training part only."""
    data = load_data(config.data)
    few = slice(images)
    return replace(data, train=replace(data.train, inputs=data.train.inputs[few], targets=data.train.targets[few]))
