"""The training loop of one model, epoch by epoch, alone or as one rank of a group."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.augment import Augment
from trainables.config import TrainConfig
from trainables.data import Dataset, as_floats
from trainables.evaluation import measure
from trainables.models import build_model
from trainables.objectives import Objective, cross_entropy
from trainables.optim import build_optimizer, build_schedule, load_named_state, named_state
from trainables.parallel.ddp import SOLO, Group, all_sum
from trainables.parallel.engine import make_engine
from trainables.stopping import EarlyStopping


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


class Trainer:
    """Trains `model`, in place, or the one that the config names. Every rank makes the same calls.

    model: this rank's part of the model, all of it where it is not cut into stages. All randomness of an epoch is
    seeded by (seed, epoch, rank), so that one checkpoint resumes every rank bit for bit.
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
        self.group = group = group.staged(config.parallel.stages)
        whole = build_model(config.model, data) if model is None else model
        self.engine = make_engine(whole, objective or cross_entropy, config, group, data.input_shape)
        self.model = self.engine.module
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
                self.engine.sync_gradients()
                lr = self.optimizer.param_groups[0]["lr"]
                self.optimizer.step()
                self.schedule.step()
            self.engine.sync_buffers()
            train_loss = self._mean_loss(torch.stack(losses), epoch)
            trained = time.perf_counter() - started
            self.model.eval()
            val_loss, val_accuracy = measure(self.engine.logits, self.validation, self.group)
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
        return self.engine.backward(images, self.train.targets[indices], 1 / batch_size)

    def _mean_loss(self, losses: Tensor, epoch: int) -> float:
        """The mean over images from each step's sum; looked at once an epoch, as a look waits for the GPU."""
        losses = all_sum(losses, self.group)
        broken = (~losses.isfinite()).nonzero()
        if len(broken):
            raise Diverged(epoch, int(broken[0]) + 1)
        return float(losses.double().sum()) / len(self.train)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on after the last epoch, of the whole model by its names, in every rank.

        Every rank calls it at the same time. References, so save or copy it at once.
        """
        return {
            "epoch": self.epoch,
            "model": self._gathered(self.model.state_dict()),
            "best": self._gathered(self.best_state),
            "optimizer": self.engine.gather(named_state(self.optimizer, self.engine)),
            "schedule": self.schedule.state_dict(),
            "stopping": self.stopping.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes this rank's part of what state_dict() gave, be it on other ranks or another number of them."""
        self.epoch = state["epoch"]
        self.best_state = {name: value.to(self.group.device) for name, value in self._part(state["best"]).items()}
        self.model.load_state_dict(self._part(state["model"]))
        load_named_state(self.optimizer, self.engine, state["optimizer"])
        for part in ("schedule", "stopping"):
            getattr(self, part).load_state_dict(state[part])
        for group, lr in zip(self.optimizer.param_groups, self.schedule.get_last_lr(), strict=True):
            group["lr"] = lr

    def _gathered(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.engine.gather({self.engine.whole_name(name): value for name, value in state.items()})

    def _part(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: state[self.engine.whole_name(name)] for name in self.model.state_dict()}


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
