"""The training loop of one model, epoch by epoch, alone or as one rank of a group."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainables.averaging import Average
from trainables.batches import Batch, Batches, Drawn
from trainables.config import TrainConfig
from trainables.data import Dataset
from trainables.evaluation import Evaluation, Measurement
from trainables.fitting import check_recording, check_task
from trainables.model_state import copied_state, load_model_state, model_state
from trainables.models import build_model, materialized
from trainables.objectives import Objective, make_objective
from trainables.optim import build_optimizer, has_hooks, load_named_state, named_state
from trainables.parallel.ddp import SOLO, Group, all_sum
from trainables.parallel.engine import make_engine
from trainables.precision import lower_precision
from trainables.recording import Recorder
from trainables.schedules import Schedule
from trainables.step_values import StepValues
from trainables.stopping import EarlyStopping


class Diverged(ArithmeticError):
    """The loss stopped being a finite number in that epoch, at that step (both from 1)."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(epoch, step)
        self.epoch, self.step = epoch, step

    def __str__(self) -> str:
        return f"the loss is not finite in epoch {self.epoch} at step {self.step}"


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """One epoch of all ranks.

    val_accuracy: fraction, None for regression. val_r2: the share of the targets' variance that is explained, None for
    classes. Losses of regression are in squared standard deviations of the training targets. lr: the last step's.
    images_per_second: examples, in training.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float | None
    val_r2: float | None
    lr: float
    seconds: float
    images_per_second: float


METRIC_MODES: Mapping[str, Literal["max", "min"]] = {
    "val_accuracy": "max",
    "val_r2": "max",
    "val_loss": "min",
    "train_loss": "min",
}
"""The fields of EpochMetrics that a sweep may optimise, and which direction is better."""


def metric_names() -> tuple[str, ...]:
    """The fields of EpochMetrics that a sweep may optimise."""
    return tuple(METRIC_MODES)


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
        check_task(config, data)
        check_recording(config, group)
        _seed_generators(_seed(config.seed), group.device)
        self.config = config
        self.group = group = group.staged(config.parallel.stages)
        whole = build_model(config.model, data) if model is None else materialized(model, data)
        objective = objective or make_objective(data, config.label_smoothing)
        self.engine = make_engine(whole, objective, config, group, data.input_shape)
        self.model = self.engine.module
        self.batches = Batches(data, config, group)
        unit, validation = float(data.target_std), data.validation.to(group.device)
        self.validation = Measurement(self.engine.logits, validation, group, unit=unit)
        self.values = StepValues(group.device)
        self.optimizer = build_optimizer(self.model, config.optimizer, self.values.lr)
        self.schedule = _schedule(self.optimizer, config, self.batches.steps)
        scales = lower_precision(config, group.device) is torch.float16
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=scales)
        self.average = Average(self.model, config.ema)
        self.stopping = EarlyStopping(config.stopping)
        records = config.compile in ("auto", "graph") and group.size == 1
        rows = (self.batches.sizes[0], self.validation.sizes[0])
        self.recorder = Recorder(self.model, group.device, records=records, rows=rows)
        self._ahead: dict[int, Drawn] = {}
        self.epoch = 0
        self.best_state = copied_state(self.model)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left, because all are done or early stopping says so."""
        return self.epoch >= self.config.epochs or self.stopping.stop

    def epochs(self) -> Iterator[EpochMetrics]:
        """Trains the epochs that are left; at the end the model has the weights of the best epoch.

        Raises Diverged, in every rank alike.
        """
        try:
            while not self.finished:
                with self.recorder.working():
                    metrics = self._epoch(self.epoch + 1)
                self.epoch = metrics.epoch
                yield metrics
            load_model_state(self.model, self.best_state)
        finally:
            self.recorder.release()

    def _epoch(self, epoch: int) -> EpochMetrics:
        started, steps = time.perf_counter(), self.batches.steps
        _seed_generators(_seed(self.config.seed, epoch, self.group.rank), self.group.device)
        self.batches.begin(self._ahead.pop(epoch) if epoch in self._ahead else self._drawn(epoch))
        rates = self.schedule.take(steps)
        self.values.begin(rates, self.average.shares(steps))
        if has_hooks(self.optimizer):
            self.recorder.refuse("something is done after each step of the optimiser")
        self.model.train()
        for size in self.batches.sizes:
            self.recorder.call(self._step, size)
        if self.group.device.type == "cuda" and epoch < self.config.epochs:
            self._ahead = {epoch + 1: self._drawn(epoch + 1)}  # while the GPU works
        self.engine.sync_buffers()
        train_loss = self._mean_loss(epoch)
        trained = time.perf_counter() - started
        with self.average.applied():
            result = self._validate(epoch)
        return EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            val_loss=result.loss,
            val_accuracy=result.accuracy,
            val_r2=result.r2,
            lr=rates[-1],
            seconds=time.perf_counter() - started,
            images_per_second=self.batches.rows / trained,
        )

    def _drawn(self, epoch: int) -> Drawn:
        """Alike on every rank."""
        return self.batches.draw(torch.Generator().manual_seed(_seed(self.config.seed, epoch)))

    def _step(self, size: int) -> None:
        """Trains on the next `size` rows. Looks at no value of the device and changes none but there, so that it can be
        recorded."""
        self.values.next(self.optimizer)
        self.optimizer.zero_grad()
        self.values.record(self._backward(self.batches.next(size)))
        self.engine.sync_gradients()
        self._clip_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.take(self.values.share)

    def _backward(self, batch: Batch) -> Tensor:
        """Adds this rank's part of the global batch's gradient; returns its rows' summed loss."""
        weight: float | Tensor = 1 / batch.size
        if self.scaler.is_enabled():
            weight = self.scaler.scale(torch.full((), 1 / batch.size, device=self.group.device))
        total = torch.zeros((), device=self.group.device)
        for inputs, targets in batch.parts:
            total += self.engine.backward(inputs, targets, weight)
        return total

    def _clip_gradients(self) -> None:
        """Scales the gradients to the longest that is allowed, as clip_grad_norm_ of torch does, over all stages."""
        longest = self.config.optimizer.clip_norm
        if longest is None:
            return
        self.scaler.unscale_(self.optimizer)
        factor = (longest / (self.engine.gradient_norm() + 1e-6)).clamp(max=1.0)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        if gradients:  # a stage may have none
            torch._foreach_mul_(gradients, factor)

    def _validate(self, epoch: int) -> Evaluation:
        """How good the model is now; the best one so far is kept."""
        if self.config.ema:
            self.engine.sync_buffers()
        self.model.eval()
        result = self.validation.run(self.recorder.call)
        if not math.isfinite(result.loss):
            raise Diverged(epoch, self.batches.steps)
        if self.stopping.update(result):
            self.best_state = copied_state(self.model)
        self.schedule.end_epoch(result.loss)
        return result

    def _mean_loss(self, epoch: int) -> float:
        """The mean over images from each step's sum; looked at once an epoch, as a look waits for the GPU."""
        losses = all_sum(self.values.losses.clone(), self.group)
        broken = (~losses.isfinite()).nonzero()
        if len(broken):
            raise Diverged(epoch, int(broken[0]) + 1)
        return float(losses.double().sum()) / self.batches.rows

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on after the last epoch, of the whole model by its names, in every rank.

        Every rank calls it at the same time. References, so save or copy it at once.
        """
        return {
            "epoch": self.epoch,
            "model": self._gathered(model_state(self.model)),
            "best": self._gathered(self.best_state),
            "average": self._gathered(self.average.state_dict()),
            "optimizer": self.engine.gather(named_state(self.optimizer, self.engine)),
            "average_steps": self.average.steps,
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "stopping": self.stopping.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes this rank's part of what state_dict() gave, be it on other ranks or another number of them."""
        self.epoch = state["epoch"]
        load_model_state(self.model, self._part(state["best"]))
        self.best_state = copied_state(self.model)
        load_model_state(self.model, self._part(state["model"]))
        if self.config.ema:
            self.average.load_state_dict(self._part(state["average"]), state["average_steps"])
        load_named_state(self.optimizer, self.engine, state["optimizer"])
        for part in ("schedule", "scaler", "stopping"):
            getattr(self, part).load_state_dict(state[part])

    def _gathered(self, state: dict[str, Any]) -> dict[str, Any]:
        return self.engine.gather({self.engine.whole_name(name): value for name, value in state.items()})

    def _part(self, state: dict[str, Any]) -> dict[str, Any]:
        """Of this rank; checkpoints of earlier versions lack the non-persistent buffers."""
        names = {name: self.engine.whole_name(name) for name in model_state(self.model)}
        return {name: state[whole] for name, whole in names.items() if whole in state}


def _schedule(optimizer: Optimizer, config: TrainConfig, steps: int) -> Schedule:
    lr = config.optimizer.scaled_lr(config.batch_size)
    return Schedule(optimizer, config.schedule, lr=lr, epochs=config.epochs, steps_per_epoch=steps)


def _seed(*key: int) -> int:
    """One well-mixed seed from several numbers."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def _seed_generators(seed: int, device: torch.device) -> None:
    """What torch.manual_seed does, without its way round the kinds of device that are not used: milliseconds each."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
