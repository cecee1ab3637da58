"""Pruning takes whole channels out of any network, as many as asked, and nothing else changes."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from trainables import mlp, resnet
from trainables.compress import Cost, PruneError, cost, prune

SHAPE = (1, 8, 8)


class Block(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(torch.relu(self.norm(self.spatial(x))))
        return x + mixed


class OwnNetwork(nn.Module):
    """What users bring: residuals, grouped and depthwise convolutions, a concatenation, a flatten into a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1)
        self.side = nn.Conv2d(1, 16, 1)
        self.blocks = nn.Sequential(Block(32, groups=4), Block(32, groups=1), Block(32, groups=32))
        self.pool = nn.AvgPool2d(2)
        self.hidden = nn.Linear((32 + 16) * 16, 64)
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.cat([self.blocks(self.stem(x)), self.side(x)], 1)
        hidden = torch.relu(self.hidden(self.pool(features).flatten(1)))
        return torch.log_softmax(self.out(hidden), 1)


class FixedWidth(nn.Module):
    """The first layer's width is written into the code, so only the second may shrink."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(64, 32), nn.Linear(16, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        halves = self.first(x.flatten(1)).view(-1, 2, 16).sum(1)
        out: Tensor = self.out(torch.relu(self.second(halves)))
        return out


def network(name: str) -> Any:
    torch.manual_seed(0)
    makers: dict[str, Any] = {
        "mlp": lambda: mlp(SHAPE, 10),
        "resnet": lambda: resnet(SHAPE, 10),
        "own": OwnNetwork,
        "fixed": FixedWidth,
    }
    return makers[name]()


def test_cost_counts_multiply_accumulates_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, groups=1), nn.Flatten(), nn.Linear(4 * 64, 10))
    assert cost(model, SHAPE) == Cost(macs=64 * 9 * 4 + 256 * 10, parameters=4 * 9 + 4 + 256 * 10 + 10)


@pytest.mark.parametrize("keep", [0.75, 0.5, 0.25])
@pytest.mark.parametrize("name", ["mlp", "resnet", "own"])
def test_meets_the_target_from_below_and_keeps_the_output(name: str, keep: float) -> None:
    model = network(name)
    pruned: Any = prune(model, SHAPE, keep)
    before, after = cost(model, SHAPE), cost(pruned, SHAPE)
    assert keep - 0.07 <= after.macs / before.macs <= keep
    assert after.parameters < before.parameters
    assert pruned.eval()(torch.rand(3, *SHAPE)).shape == (3, 10)


@pytest.mark.parametrize("name", ["mlp", "resnet", "own"])
def test_leaves_the_parent_alone(name: str) -> None:
    model = network(name).train()
    before = copy.deepcopy(model.state_dict())
    prune(model, SHAPE, 0.5)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_frozen_parameters_are_pruned_and_stay_frozen() -> None:
    frozen = network("resnet").requires_grad_(False)
    pruned: Any = prune(frozen, SHAPE, 0.5)
    assert cost(pruned, SHAPE).macs <= 0.5 * cost(frozen, SHAPE).macs
    assert not any(parameter.requires_grad for parameter in pruned.parameters())


def test_works_where_gradients_are_off() -> None:
    with torch.no_grad():
        pruned = prune(network("resnet"), SHAPE, 0.5)
    assert cost(pruned, SHAPE).macs <= 0.5 * cost(network("resnet"), SHAPE).macs


def test_same_model_same_result() -> None:
    first, second = (prune(network("own"), SHAPE, 0.4).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_removes_dead_channels_first_and_the_output_stays_the_same() -> None:
    model = network("own").eval()
    block, dead = model.blocks[1], torch.arange(0, 32, 2)
    with torch.no_grad():
        block.norm.running_mean.uniform_()
        block.spatial.weight[dead] = 0
        block.norm.weight[dead] = 0
        block.norm.bias[dead] = 0
        block.mix.weight[:, dead] = 0
    whole = cost(model, SHAPE).macs
    per_channel = 64 * 32 * (9 + 1)
    pruned: Any = prune(model, SHAPE, (whole - 15.9 * per_channel) / whole)
    assert (pruned.blocks[1].spatial.out_channels, pruned.stem.out_channels) == (16, 32)
    images = torch.rand(5, *SHAPE)
    torch.testing.assert_close(pruned(images), model(images))


def test_widths_stay_multiples_of_eight_where_the_target_allows() -> None:
    pruned: Any = prune(network("resnet"), SHAPE, 0.5)
    assert {module.out_channels % 8 for module in pruned.modules() if isinstance(module, nn.Conv2d)} == {0}


def test_groups_of_a_convolution_keep_the_same_width() -> None:
    pruned: Any = prune(network("own"), SHAPE, 0.25)
    grouped = pruned.blocks[0].spatial
    assert grouped.groups == 4
    assert grouped.out_channels % 4 == 0
    assert grouped.out_channels < 32


def test_a_width_written_into_the_code_is_left_alone() -> None:
    pruned: Any = prune(network("fixed"), SHAPE, 0.75)
    assert pruned.first.out_features == 32
    assert pruned.second.out_features < 64


def test_the_floor_in_the_error_can_be_reached_and_no_less() -> None:
    model = network("mlp")
    with pytest.raises(PruneError, match="least possible is") as caught:
        prune(model, SHAPE, 0.001)
    floor = float(re.findall(r"[\d.]+$", str(caught.value))[0])
    assert cost(prune(model, SHAPE, floor * 1.01), SHAPE).macs > 0
    with pytest.raises(PruneError):
        prune(model, SHAPE, floor * 0.98)


def test_a_network_without_inner_layers_cannot_be_pruned() -> None:
    with pytest.raises(PruneError, match="nothing can be pruned"):
        prune(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), SHAPE, 0.5)


@pytest.mark.parametrize("keep", [0.0, 1.0, -0.5, float("nan")])
def test_the_fraction_is_checked(keep: float) -> None:
    with pytest.raises(PruneError, match="0 < keep < 1"):
        prune(network("mlp"), SHAPE, keep)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(keep=st.floats(0.15, 0.95), width=st.integers(9, 40), depth=st.integers(1, 3))
def test_never_above_the_target(keep: float, width: int, depth: int) -> None:
    model = mlp(SHAPE, 10, width=width, depth=depth)
    assert cost(prune(model, SHAPE, keep), SHAPE).macs <= keep * cost(model, SHAPE).macs
