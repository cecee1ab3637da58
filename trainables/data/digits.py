"""The data that come with scikit-learn, for trying things out."""

from __future__ import annotations

import torch

from trainables.config import DataConfig
from trainables.data.dataset import Dataset, Split
from trainables.data.splitting import Given, split
from trainables.data.statistics import mean_std


def read_digits(config: DataConfig) -> Dataset:
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels (UCI, Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images / 16.0).float().unsqueeze(1)
    classes = tuple(str(name) for name in digits.target_names)
    parts = split(Given(Split(images, torch.from_numpy(digits.target).long())), config, classes)
    return Dataset(*parts, classes, *mean_std(parts[0].inputs))
