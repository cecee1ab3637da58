"""The usual way: a DataLoader over a Dataset that changes one picture at a time, and a loop as in torch's tutorials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import cos, radians, sin, sqrt, tan
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Examples

from trainables import AugmentConfig, Dataset, Split, TrainConfig, build_model


class Pictures(Examples[tuple[Tensor, Tensor]]):
    """The pictures, each changed when it is asked for, as a chain of transforms does."""

    def __init__(self, split: Split, config: AugmentConfig) -> None:
        self.split, self.config, self.random = split, config, Random(0)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.split.inputs[index].float() / 255
        for change in (self._crop, self._flip, self._affine, self._adjust, self._erase):
            image = change(image)
        return image, self.split.targets[index]

    def _crop(self, image: Tensor) -> Tensor:
        border, (_, height, width) = self.config.crop, image.shape
        top, left = self.random.randint(0, 2 * border), self.random.randint(0, 2 * border)
        padded = functional.pad(image[None], (border,) * 4, mode="reflect")[0]
        return padded[:, top : top + height, left : left + width]

    def _flip(self, image: Tensor) -> Tensor:
        return image.flip(-1) if self.random.random() < self.config.flip else image

    def _affine(self, image: Tensor) -> Tensor:
        config, between = self.config, self.random.uniform
        angle = radians(between(-config.rotate, config.rotate))
        slope, scale = tan(radians(between(-config.shear, config.shear))), 1 + between(-config.zoom, config.zoom)
        right, down = (2 * between(-config.shift, config.shift) for _ in range(2))
        rows = [[cos(angle) - slope * sin(angle), -sin(angle) - slope * cos(angle)], [sin(angle), cos(angle)]]
        theta = torch.tensor([[a / scale, b / scale, -(a * right + b * down) / scale] for a, b in rows])
        grid = functional.affine_grid(theta[None], [1, *image.shape], align_corners=False)
        return functional.grid_sample(image[None], grid, align_corners=False)[0]

    def _adjust(self, image: Tensor) -> Tensor:
        contrast = 1 + self.random.uniform(-self.config.contrast, self.config.contrast)
        added = self.random.uniform(-self.config.brightness, self.config.brightness)
        mean = image.mean()
        return ((image - mean) * contrast + mean + added).clamp(0, 1)

    def _erase(self, image: Tensor) -> Tensor:
        if self.random.random() >= self.config.erase:
            return image
        _, height, width = image.shape
        area, shape = self.random.uniform(0.02, self.config.erase_area), 3.3 ** self.random.uniform(-1, 1)
        rows, columns = (
            min(side, round(sqrt(part) * side)) for side, part in ((height, area * shape), (width, area / shape))
        )
        top, left = self.random.randint(0, height - rows), self.random.randint(0, width - columns)
        image = image.clone()
        image[:, top : top + rows, left : left + columns] = self.random.random()
        return image


def epochs(config: TrainConfig, data: Dataset, workers: int) -> Iterator[float]:
    """Pictures a second, epoch by epoch. workers: processes that load; 0 loads in the loop's own."""
    torch.manual_seed(config.seed)
    model, criterion = build_model(config.model, data), nn.CrossEntropyLoss()
    optimizer = SGD(model.parameters(), config.optimizer.lr, momentum=0.9, nesterov=True)
    pictures = Pictures(data.train, config.augment)
    loader = DataLoader(pictures, config.batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    while True:
        started, total = time.perf_counter(), 0.0
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        yield len(pictures) / (time.perf_counter() - started)
