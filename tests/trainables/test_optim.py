import pytest
import torch
from torch import nn

from trainables import OptimizerConfig, ScheduleConfig, build_optimizer, build_schedule, resnet


def rates(config: ScheduleConfig, epochs: int, steps: int) -> list[float]:
    """The rate of each step, with a base rate of 1."""
    optimizer = build_optimizer(nn.Linear(2, 2), OptimizerConfig(lr=1.0))
    schedule = build_schedule(optimizer, config, epochs, steps)
    seen = []
    for _ in range(epochs * steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_only_kernels_and_matrices_decay(name) -> None:
    model = resnet((1, 8, 8), 10, width=4)
    optimizer = build_optimizer(model, OptimizerConfig(name=name, weight_decay=0.1))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(model.parameters()))
    for parameter in model.parameters():
        assert decay[id(parameter)] == (0.1 if parameter.ndim >= 2 else 0.0)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_each_optimizer_descends(name, momentum: float) -> None:
    weight = nn.Linear(4, 1)
    optimizer = build_optimizer(weight, OptimizerConfig(name=name, lr=0.01, momentum=momentum))
    x, losses = torch.ones(8, 4), []
    for _ in range(50):
        optimizer.zero_grad()
        loss = (weight(x) - 3).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_frozen_weights_stay_out() -> None:
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    optimizer = build_optimizer(model, OptimizerConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


def test_constant() -> None:
    assert rates(ScheduleConfig(name="constant"), 2, 3) == [1.0] * 6


def test_step_falls_by_gamma_every_step_size_epochs() -> None:
    config = ScheduleConfig(name="step", step_size=2, gamma=0.5)
    assert rates(config, 5, 2) == [1.0] * 4 + [0.5] * 4 + [0.25] * 2


def test_cosine_goes_from_the_whole_rate_to_nearly_none() -> None:
    seen = rates(ScheduleConfig(name="cosine"), 4, 5)
    assert seen[0] == 1.0
    assert seen[10] == pytest.approx(0.5)
    assert seen == sorted(seen, reverse=True)
    assert 0 < seen[-1] < 0.01


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_warmup_climbs_in_a_line_to_the_whole_rate(name) -> None:
    seen = rates(ScheduleConfig(name=name, warmup=1, step_size=9), 3, 4)
    assert seen[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
