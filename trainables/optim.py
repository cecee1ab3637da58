"""Optimisers and learning-rate schedules from their settings."""

from __future__ import annotations

from functools import partial
from math import cos, pi
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from trainables.config import OptimizerConfig, ScheduleConfig
from trainables.parallel.engine import Engine


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Weight decay on matrices and kernels only: norms and biases are vectors and go without."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    match config.name:
        case "sgd":
            return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
        case "adam":
            return Adam(groups, lr=config.lr)
        case "rmsprop":
            return RMSprop(groups, lr=config.lr, momentum=config.momentum)


def named_state(optimizer: Optimizer, engine: Engine) -> dict[str, dict[str, Tensor]]:
    """What the optimiser keeps of each parameter of this rank, by the whole model's names."""
    parameters = engine.module.named_parameters()
    return {engine.whole_name(name): optimizer.state[p] for name, p in parameters if p in optimizer.state}


def load_named_state(optimizer: Optimizer, engine: Engine, state: dict[str, dict[str, Tensor]]) -> None:
    """Takes from `state`, by the whole model's names, what belongs to this rank's parameters."""
    names = {parameter: engine.whole_name(name) for name, parameter in engine.module.named_parameters()}
    numbered = enumerate(parameter for group in optimizer.param_groups for parameter in group["params"])
    mine = {number: state[names[parameter]] for number, parameter in numbered if names[parameter] in state}
    packed: dict[str, Any] = optimizer.state_dict()
    optimizer.load_state_dict({**packed, "state": mine})


def build_schedule(optimizer: Optimizer, config: ScheduleConfig, epochs: int, steps_per_epoch: int) -> LRScheduler:
    """A schedule to be stepped after every batch."""
    factor = partial(_factor, config=config, steps=epochs * steps_per_epoch, steps_per_epoch=steps_per_epoch)
    return LambdaLR(optimizer, lambda step: factor(step))


def _factor(step: int, *, config: ScheduleConfig, steps: int, steps_per_epoch: int) -> float:
    """The learning rate of a step as a fraction of the configured one; a warmup climbs to it in a line."""
    warmup = config.warmup * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    match config.name:
        case "constant":
            return 1.0
        case "step":
            return float(config.gamma ** (step // steps_per_epoch // config.step_size))
        case "cosine":
            return 0.5 * (1 + cos(pi * min(1.0, (step - warmup) / (steps - warmup))))
