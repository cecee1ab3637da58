"""Whether the settings of a training run fit its data, as far as can be said without allocating anything."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from trainables.augment import Augment
from trainables.config import TrainConfig
from trainables.data import Dataset
from trainables.errors import SettingError
from trainables.models import BUILDERS
from trainables.parallel.ddp import Group
from trainables.parallel.split import cut_points, layers_of

_METRICS = {"classification": "val_accuracy", "regression": "val_r2"}


def check_fit(config: TrainConfig, data: Dataset) -> None:
    """Targets, augmentation and the shipped models; a user's own is first built when it is trained.

    Raises SettingError.
    """
    check_task(config, data)
    Augment(config.augment, data.input_shape)
    builder = BUILDERS.get(config.model.name)
    if builder:
        with torch.device("meta"):
            network = builder(data.input_shape, data.num_outputs, **config.model.arguments)
            _check_stages(network, config, data)


def check_task(config: TrainConfig, data: Dataset) -> None:
    """Settings that are for the other kind of targets. Raises SettingError."""
    metric, classes = config.stopping.metric, data.task == "classification"
    has = f"{config.data.name} has {'classes' if classes else 'values to predict'}"
    if metric not in ("val_loss", _METRICS[data.task]):
        raise SettingError.at(
            "stopping.metric", f"must be val_loss or {_METRICS[data.task]}, as {has}, but got {metric}"
        )
    if config.label_smoothing and not classes:
        raise SettingError.at("label_smoothing", f"must be 0, as {has}, but got {config.label_smoothing}")


def check_recording(config: TrainConfig, group: Group) -> None:
    """Graphs where they cannot be made. Raises SettingError."""
    if config.compile != "graph":
        return
    if group.device.type != "cuda":
        raise SettingError.at("compile", f"graph is for trials on a GPU, but this one runs on {group.device}; use auto")
    if group.size > 1:
        raise SettingError.at("compile", f"graph is for trials of one worker, but this one has {group.size}; use auto")


def _check_stages(network: nn.Module, config: TrainConfig, data: Dataset) -> None:
    """Whether it can be cut as asked. What layers cost is left to the trial: it moves a cut, but allows none."""
    if config.parallel.stages > 1:
        layers = layers_of(nn.Sequential(OrderedDict(network=network)), data.input_shape)
        cut_points(layers, config.parallel, [float(layer.parameters) for layer in layers])
