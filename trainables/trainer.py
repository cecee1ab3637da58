"""The training loop of one model, epoch by epoch, alone or as one rank of a group."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.augment import Augment
from trainables.config import TrainConfig
from trainables.data import Dataset, Split, as_floats
from trainables.models import build_model
from trainables.optim import build_optimizer, build_schedule
from trainables.parallel import SOLO, Group
from trainables.parallel.ddp import all_sum, average_buffers, copy_from_first, sum_gradients
from trainables.stopping import EarlyStopping

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]

_EVALUATION_BATCH = 512


class Diverged(ArithmeticError):
    """The loss stopped being a finite number in that epoch, at that step (both from 1)."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(epoch, step)
        self.epoch, self.step = epoch, step

    def __str__(self) -> str:
        return f"the loss is not finite in epoch {self.epoch} at step {self.step}"


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of all ranks. val_accuracy: fraction. lr: the last step's. images_per_second: in training."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    images_per_second: float


def metric_names() -> tuple[str, ...]:
    """The fields of EpochMetrics that a sweep may minimise or maximise."""
    return ("val_accuracy", "val_loss", "train_loss")


def cross_entropy(logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
    """The objective where no other is given: the mean over the batch."""
    return functional.cross_entropy(logits, labels)


class Trainer:
    """Trains `model`, in place, or the one that the config names.

    objective: (logits, labels, augmented images) to a scalar, the mean over its images. All randomness
    of an epoch is seeded by (seed, epoch, rank), so that rank 0's checkpoint resumes every rank bit for bit.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Dataset,
        *,
        model: nn.Module | None = None,
        objective: Objective | None = None,
        group: Group = SOLO,
    ) -> None:
        _seed_generators(_seed(config.seed), group.device)
        self.config = config
        self.group = group
        self.model = (build_model(config.model, data) if model is None else model).to(group.device)
        copy_from_first(self.model, group)
        self.objective = objective or cross_entropy
        self.train = data.train.to(group.device)
        self.validation = data.validation.to(group.device)
        self.augment = Augment(config.augment)
        steps = len(_batches(torch.arange(len(self.train)), config.batch_size))
        self.optimizer = build_optimizer(self.model, config.optimizer)
        self.schedule = build_schedule(self.optimizer, config.schedule, config.epochs, steps)
        self.stopping = EarlyStopping(config.stopping)
        self.epoch = 0
        self.best_state = _copy(self.model)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left, because all are done or early stopping says so."""
        return self.epoch >= self.config.epochs or self.stopping.stop

    def epochs(self) -> Iterator[EpochMetrics]:
        """Trains the epochs that are left; at the end the model has the weights of the best epoch.

        Raises Diverged, in every rank alike.
        """
        while not self.finished:
            epoch, started = self.epoch + 1, time.perf_counter()
            shared = torch.Generator().manual_seed(_seed(self.config.seed, epoch))
            _seed_generators(_seed(self.config.seed, epoch, self.group.rank), self.group.device)
            self.model.train()
            losses, lr = [], 0.0
            for batch in _batches(torch.randperm(len(self.train), generator=shared), self.config.batch_size):
                changes = self.augment.draw(len(batch), shared)
                mine = self.group.share(len(batch))
                self.optimizer.zero_grad()
                losses.append(self._backward(batch[mine], changes[mine], len(batch)))
                sum_gradients(self.model.parameters(), self.group)
                lr = self.optimizer.param_groups[0]["lr"]
                self.optimizer.step()
                self.schedule.step()
            average_buffers(self.model, self.group)
            train_loss = self._mean_loss(torch.stack(losses), epoch)
            trained = time.perf_counter() - started
            val_loss, val_accuracy = evaluate(self.model, self.validation, self.group)
            if not math.isfinite(val_loss):
                raise Diverged(epoch, len(losses))
            if self.stopping.update(-val_accuracy if self.config.stopping.metric == "val_accuracy" else val_loss):
                self.best_state = _copy(self.model)
            self.epoch = epoch
            seconds, speed = time.perf_counter() - started, len(self.train) / trained
            yield EpochMetrics(epoch, train_loss, val_loss, val_accuracy, lr, seconds, speed)
        self.model.load_state_dict(self.best_state)

    def _backward(self, indices: Tensor, changes: Tensor, batch_size: int) -> Tensor:
        """Adds this rank's part of the global batch's gradient; returns its images' summed loss."""
        if not len(indices):
            return torch.zeros((), device=self.group.device)
        indices = indices.to(self.group.device)
        images = self.augment.apply(as_floats(self.train.inputs[indices]), changes)
        with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.group.device.type == "cuda"):
            loss = self.objective(self.model(images), self.train.targets[indices], images)
        total = loss * len(indices)
        (total / batch_size).backward()
        return total.detach()

    def _mean_loss(self, losses: Tensor, epoch: int) -> float:
        """The mean over images from each step's sum; looked at once an epoch, as a look waits for the GPU."""
        losses = all_sum(losses, self.group)
        broken = (~losses.isfinite()).nonzero()
        if len(broken):
            raise Diverged(epoch, int(broken[0]) + 1)
        return float(losses.double().sum()) / len(self.train)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on after the last epoch; references, so save or copy it at once."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "best": self.best_state,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "stopping": self.stopping.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.best_state = {name: value.to(self.group.device) for name, value in state["best"].items()}
        self.model.load_state_dict(state["model"])
        for part in ("optimizer", "schedule", "stopping"):
            getattr(self, part).load_state_dict(state[part])


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, group: Group = SOLO) -> tuple[float, float]:
    """Mean cross entropy and accuracy (fraction) over the split, of which each rank takes its part."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    mine, totals = group.share(len(split)), torch.zeros(2, dtype=torch.float64, device=device)
    for start in range(mine.start, mine.stop, _EVALUATION_BATCH):
        rows = slice(start, min(start + _EVALUATION_BATCH, mine.stop))
        labels = split.targets[rows].to(device)
        logits = model(as_floats(split.inputs[rows].to(device)))
        totals[0] += functional.cross_entropy(logits, labels, reduction="sum")
        totals[1] += (logits.argmax(1) == labels).sum()
    model.train(was_training)
    loss, correct = all_sum(totals, group).tolist()
    return loss / len(split), correct / len(split)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Consecutive parts, the last one short; a rest of one joins the part before it: BatchNorm needs two."""
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _seed(*key: int) -> int:
    """One well-mixed seed from several numbers."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def _seed_generators(seed: int, device: torch.device) -> None:
    """What torch.manual_seed does, without its way round the kinds of device that are not used: milliseconds each."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
