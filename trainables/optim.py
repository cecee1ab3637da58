"""Optimisers from their settings, and their state by the parameters' names."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from trainables.config import OptimizerConfig
from trainables.decay import decays
from trainables.parallel.engine import Engine


def build_optimizer(model: nn.Module, config: OptimizerConfig, lr: float | Tensor | None = None) -> Optimizer:
    """Of torch, over the parameters that are trained; `decays` says to which of them weight decay applies.

    lr: the rate, in place of the config's; a scalar on the parameters' GPU is read there in each step.
    """
    lr = config.lr if lr is None else lr
    trained, decaying = [parameter for parameter in model.parameters() if parameter.requires_grad], decays(model)
    groups = [
        {"params": [p for p in trained if p in decaying], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p not in decaying], "weight_decay": 0.0},
    ]
    # The fused ones take real numbers only.
    optimizer = _of_torch(groups, config, lr, fused=all(parameter.is_floating_point() for parameter in trained))
    # Adam and RMSprop count their steps on a GPU, also in steps that are not recorded: torch need not warn of those.
    optimizer._warned_capturable_if_run_uncaptured = True
    return optimizer


def _of_torch(groups: list[dict[str, Any]], config: OptimizerConfig, lr: float | Tensor, *, fused: bool) -> Optimizer:
    capturable = isinstance(lr, Tensor)
    match config.name:
        case "sgd":
            momentum = config.momentum
            return SGD(groups, lr, momentum, nesterov=momentum > 0, fused=fused, foreach=not fused)
        case "adam":
            return Adam(groups, lr, fused=fused, foreach=not fused, capturable=capturable)
        case "adamw":
            return AdamW(groups, lr, fused=fused, foreach=not fused, capturable=capturable)
        case "rmsprop":
            return RMSprop(groups, lr, momentum=config.momentum, foreach=True, capturable=capturable)


def has_hooks(optimizer: Optimizer) -> bool:
    """Whether something else is done with each of its steps."""
    return bool(optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks)


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
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({**packed, "state": mine})
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = lr  # torch puts a copy there, which no step would set
