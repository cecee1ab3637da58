"""Whether the settings of a training run fit its data, as far as can be said without allocating anything."""

from __future__ import annotations

import torch

from trainables.augment import Augment
from trainables.config import TrainConfig
from trainables.data import Dataset
from trainables.models import BUILDERS


def check_fit(config: TrainConfig, data: Dataset) -> None:
    """Augmentation and the shipped models; a user's own is first built when it is trained. Raises SettingError."""
    Augment(config.augment, data.input_shape)
    builder = BUILDERS.get(config.model.name)
    if builder:
        with torch.device("meta"):
            builder(data.input_shape, data.num_outputs, **config.model.arguments)
