"""Pruning takes whole channels out of any network, as many as asked, and nothing else changes."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.trainables.compress.networks import SHAPE, Branching, network
from trainables import DataConfig, load_data, mlp
from trainables.compress import Cost, PruneError, Pruning, cost, export_onnx, measure_latency, prune, widths_of

EXAMPLES = load_data(DataConfig()).train


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


HOW = [
    Pruning(importance="taylor"),
    Pruning(importance="bn_scale"),
    Pruning(scope="local"),
    Pruning(target="parameters"),
    Pruning(importance="taylor", scope="local", target="parameters"),
]


@pytest.mark.parametrize("how", HOW, ids=lambda how: f"{how.importance}-{how.scope}-{how.target}")
@pytest.mark.parametrize("name", ["mlp", "resnet", "own"])
def test_meets_the_target_in_every_way(name: str, how: Pruning) -> None:
    model = network(name)
    pruned = prune(model, SHAPE, 0.5, how, EXAMPLES)
    field = "macs" if how.target == "macs" else "parameters"
    share = getattr(cost(pruned, SHAPE), field) / getattr(cost(model, SHAPE), field)
    assert 0.4 <= share <= 0.5
    assert cost(pruned, SHAPE).macs < cost(model, SHAPE).macs


def test_taylor_removes_what_the_loss_does_not_need_however_large() -> None:
    model = network("mlp")
    with torch.no_grad():
        model[1].weight[:64] *= 100  # large, and its outputs are not looked at
        model[5].weight[:, :64] = 0
    kept = {}
    for importance in ("magnitude", "taylor"):
        pruned: Any = prune(model, SHAPE, 0.75, Pruning(importance=importance), EXAMPLES)
        kept[importance] = int((pruned[1].weight.abs().amax(1) > 1).sum())
    assert kept["taylor"] < kept["magnitude"]


def test_small_scales_leave_first() -> None:
    model = network("resnet")
    with torch.no_grad():
        model[3].body[1].weight[:8] = 0.01
    pruned: Any = prune(model, SHAPE, 0.85, Pruning(importance="bn_scale"))
    assert model[3].body[1].num_features == 16
    assert pruned[3].body[1].num_features == 8
    assert (pruned[3].body[1].weight > 0.5).all()


def test_scales_need_a_norm() -> None:
    with pytest.raises(PruneError, match="bn_scale needs a BatchNorm with weights, and the network has none"):
        prune(network("fixed"), SHAPE, 0.5, Pruning(importance="bn_scale"))


def test_taylor_needs_examples() -> None:
    with pytest.raises(PruneError, match="taylor needs training examples, and there are none"):
        prune(network("mlp"), SHAPE, 0.5, Pruning(importance="taylor"))


def test_each_layer_loses_the_same_share_where_the_scope_is_local() -> None:
    model = network("resnet")
    with torch.no_grad():
        for parameter in model[3].parameters():
            parameter *= 100 * torch.rand_like(parameter)
    pruned: Any = prune(model, SHAPE, 0.25, Pruning(scope="local"))
    shares = [
        small.out_channels / large.out_channels
        for small, large in zip(pruned.modules(), model.modules(), strict=True)
        if isinstance(large, nn.Conv2d)
    ]
    assert max(shares) - min(shares) <= 0.25


@pytest.mark.parametrize("prefix", ["", "network."])
def test_layers_to_be_kept_stay_as_they_are(prefix: str) -> None:
    model = nn.Sequential(OrderedDict(normalize=nn.Identity(), network=network("own")))
    pruned: Any = prune(model, SHAPE, 0.85, Pruning(keep=(f"{prefix}blocks.1", "network.hidden")))
    changed = widths_of(pruned, model)
    assert changed
    assert not [name for name in changed if name.startswith(("network.blocks.1", "network.hidden"))]


def test_a_layer_to_be_kept_must_be_there() -> None:
    with pytest.raises(PruneError, match=r"it has no 'block'; did you mean 'blocks'\?"):
        prune(network("own"), SHAPE, 0.5, Pruning(keep=("block",)))


def test_steps_reach_no_further_than_one_cut() -> None:
    whole = network("mlp")
    half = prune(whole, SHAPE, 0.5)
    twice = prune(half, SHAPE, 0.25, whole=whole)
    assert 0.18 <= cost(twice, SHAPE).macs / cost(whole, SHAPE).macs <= 0.25
    floors = []
    for model in (whole, twice):
        with pytest.raises(PruneError, match="least possible is") as caught:
            prune(model, SHAPE, 0.001, whole=whole)
        floors.append(float(re.findall(r"[\d.]+$", str(caught.value))[0]))
    assert floors[0] == floors[1]


def test_latency_is_measured_where_it_is_the_target(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = mlp(SHAPE, 10, width=1024)
    pruned = prune(model, SHAPE, 0.5, Pruning(target="latency"))
    export_onnx(model, SHAPE, tmp_path / "whole.onnx")
    export_onnx(pruned, SHAPE, tmp_path / "part.onnx")
    part, whole = measure_latency([tmp_path / "part.onnx", tmp_path / "whole.onnx"], SHAPE, batches=(1,))
    assert part.median_ms < 0.7 * whole.median_ms


def test_latency_of_what_cannot_be_exported() -> None:
    with pytest.raises(PruneError, match="latency cannot be measured: the network cannot be exported"):
        prune(Branching(), SHAPE, 0.5, Pruning(target="latency"))


class Single(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise ValueError("one at a time")
        out: torch.Tensor = super().forward(x)
        return out


def test_a_network_that_cannot_be_traced() -> None:
    with pytest.raises(PruneError, match="the network cannot be traced: ValueError: one at a time"):
        prune(Single(nn.Flatten(), nn.Linear(64, 32), nn.Linear(32, 10)), SHAPE, 0.5)


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
