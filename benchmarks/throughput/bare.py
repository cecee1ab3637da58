"""The limit: a loop over tensors in memory that does nothing but what an epoch cannot do without."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch.nn import functional
from torch.optim import SGD

from trainables import Augment, Dataset, Draws, TrainConfig, as_floats, build_model


def epochs(config: TrainConfig, data: Dataset) -> Iterator[float]:
    """Pictures a second, epoch by epoch: no validation, no metric, no decay apart for norms, a fixed rate."""
    torch.manual_seed(config.seed)
    model = build_model(config.model, data).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = SGD(model.parameters(), config.optimizer.lr, momentum=0.9, nesterov=True, fused=True)
    augment, inputs, targets = Augment(config.augment, data.input_shape), data.train.inputs, data.train.targets
    generator = torch.Generator().manual_seed(config.seed)
    while True:
        started = time.perf_counter()
        for rows in torch.randperm(len(targets)).split(config.batch_size):
            images = augment.apply(as_floats(inputs[rows]), Draws.of(len(rows), generator))
            loss = functional.cross_entropy(model(images.to(memory_format=torch.channels_last)), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield len(targets) / (time.perf_counter() - started)
