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


class Gated(nn.Module):
    """Squeeze and excitation, a free scale a channel, and two halves of one convolution that meet again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.scale = nn.Conv2d(1, 32, 3, padding=1), nn.Parameter(torch.ones(1, 32, 1, 1))
        self.squeeze, self.excite = nn.Linear(32, 8), nn.Linear(8, 32)
        self.halves, self.out = nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(32, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) * self.scale
        x = x * torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))[:, :, None, None]
        values, gates = self.halves(x).chunk(2, 1)
        return torch.mean(self.out(values * torch.sigmoid(gates)), (2, 3))


class Attention(nn.Module):
    """The width of attention is bound to its heads, so only the layers between may shrink."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=64, batch_first=True)
        self.out = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.layer(x.squeeze(1)).mean(1))
        return out


def exotic() -> nn.Module:
    """An input-bound first layer, group norm, a transposed convolution and one with two outputs for each input."""
    return nn.Sequential(
        nn.Conv2d(1, 1, 1),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.GroupNorm(4, 32),
        nn.ConvTranspose2d(32, 24, 2, stride=2),
        nn.Conv2d(24, 48, 3, groups=24),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(192, 10),
    )


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
        "gated": Gated,
        "attention": Attention,
        "exotic": exotic,
    }
    return makers[name]()


def test_cost_counts_multiply_accumulates_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, groups=1), nn.Flatten(), nn.Linear(4 * 64, 10))
    assert cost(model, SHAPE) == Cost(macs=64 * 9 * 4 + 256 * 10, parameters=4 * 9 + 4 + 256 * 10 + 10)


@pytest.mark.parametrize("keep", [0.75, 0.5, 0.25])
@pytest.mark.parametrize("name", ["mlp", "resnet", "own", "gated"])
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


def test_halves_that_meet_again_keep_the_same_channels() -> None:
    model = network("gated").eval()
    with torch.no_grad():
        for part in (model.halves.weight, model.halves.bias):
            part[0:8] = part[32:40] = 0
        model.out.weight[:, 0:8] = 0
    whole = cost(model, SHAPE).macs
    pruned: Any = prune(model, SHAPE, 1 - 15.9 * 64 * 32 * 9 / whole)
    assert (pruned.halves.out_channels, pruned.stem.out_channels) == (48, 32)
    images = torch.rand(5, *SHAPE)
    torch.testing.assert_close(pruned(images), model(images))


def test_attention_keeps_its_width_and_is_counted() -> None:
    model = network("attention")
    pruned: Any = prune(model, SHAPE, 0.75)
    assert (pruned.layer.self_attn.embed_dim, pruned.layer.linear1.in_features) == (8, 8)
    assert pruned.layer.linear1.out_features < 64
    assert cost(model, SHAPE).macs >= 8 * (8 * 24 + 8 * 8 + 2 * 8 * 64) + 8 * 10


def test_layers_that_cannot_be_followed_are_left_alone() -> None:
    pruned = prune(network("exotic"), SHAPE, 0.5)
    widths = [module.out_channels for module in pruned.modules() if isinstance(module, nn.Conv2d)]
    assert (widths[0], widths[2]) == (1, 48)
    assert widths[1] < 32
    assert pruned(torch.rand(3, *SHAPE)).shape == (3, 10)


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
