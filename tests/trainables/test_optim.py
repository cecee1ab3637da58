import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from trainables import OptimizerConfig, build_optimizer, resnet

NAMES = ["sgd", "adam", "adamw", "rmsprop"]
DECAY = 0.1


def plain(name: str, model: nn.Module) -> Optimizer:
    """torch's own as its documentation has it, one tensor at a time, with decay where it belongs."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    match name:
        case "sgd":
            return SGD(groups, lr=0.01, momentum=0.9, nesterov=True, foreach=False)
        case "adam":
            return Adam(groups, lr=0.01, foreach=False)
        case "adamw":
            return AdamW(groups, lr=0.01, foreach=False)
    return RMSprop(groups, lr=0.01, momentum=0.9, foreach=False)


def descend(model: nn.Module, optimizer: Optimizer, steps: int) -> Tensor:
    """The losses of fitting a constant."""
    x, losses = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - 3).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_torchs_own(name) -> None:
    model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 1))
    other = copy.deepcopy(model)
    config = OptimizerConfig(name=name, lr=0.01, momentum=0.9, weight_decay=DECAY)
    losses = descend(model, build_optimizer(model, config), 20)
    assert torch.allclose(losses, descend(other, plain(name, other), 20), rtol=1e-4)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_only_kernels_and_matrices_decay(name) -> None:
    model = resnet((1, 8, 8), 10, width=4)
    optimizer = build_optimizer(model, OptimizerConfig(name=name, weight_decay=DECAY))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(model.parameters()))
    for parameter in model.parameters():
        assert decay[id(parameter)] == (DECAY if parameter.ndim >= 2 else 0.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_each_descends(name, momentum: float) -> None:
    model = nn.Linear(4, 1)
    losses = descend(model, build_optimizer(model, OptimizerConfig(name=name, lr=0.01, momentum=momentum)), 50)
    assert losses[-1] < losses[0] / 2


def test_frozen_weights_stay_out() -> None:
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    optimizer = build_optimizer(model, OptimizerConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@pytest.mark.parametrize(("rule", "expected"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_the_rate_grows_with_the_global_batch(rule, expected: float) -> None:
    assert OptimizerConfig(lr=0.1, lr_scaling=rule, base_batch=64).scaled_lr(256) == pytest.approx(expected)
