"""What pruning made of a network is a few numbers, with which it is built again."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables.compress.networks import SHAPE, network
from trainables.compress import WidthError, cost, load_pruned, narrowed, prune, widths_of


@pytest.mark.parametrize("name", ["mlp", "resnet", "own", "gated", "attention", "exotic"])
def test_a_pruned_network_is_built_again_from_its_code_widths_and_weights(name: str) -> None:
    whole = network(name)
    pruned = prune(whole, SHAPE, 0.6).eval()
    widths = json.loads(json.dumps(widths_of(pruned, whole)))
    images = torch.rand(3, *SHAPE)
    fresh = network(name)
    again = load_pruned(fresh, widths, pruned.state_dict()).eval()
    assert torch.equal(again(images), pruned(images))
    assert cost(again, SHAPE) == cost(pruned, SHAPE)
    assert widths_of(again, whole) == widths
    assert cost(fresh, SHAPE) == cost(whole, SHAPE)


def test_it_can_be_pruned_again() -> None:
    whole = network("resnet")
    half = prune(whole, SHAPE, 0.5)
    again = load_pruned(whole, widths_of(half, whole), half.state_dict())
    first, second = (prune(model, SHAPE, 0.25, whole=whole) for model in (half, again))
    assert widths_of(first, whole) == widths_of(second, whole)


def test_a_network_that_was_not_pruned_has_none() -> None:
    assert widths_of(network("own"), network("own")) == {}


def test_frozen_parameters_stay_frozen() -> None:
    whole = network("mlp")
    widths = widths_of(prune(whole, SHAPE, 0.5), whole)
    assert not any(parameter.requires_grad for parameter in narrowed(whole.requires_grad_(False), widths).parameters())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"7": {"out_features": 3}}, "has no layer '7'"),
    ({"1": {"out_channels": 3}}, "layer '1' has no such width as out_channels = 3"),
    ({"1": {"forward": 3}}, "no such width as forward = 3"),
    ({"1": {"weight": [3, 9]}}, r"weight of layer '1' has the shape \[4, 8\], and \[3, 9\] is no part of it"),
    ({"1": {"weight": [3]}}, "is no part of it"),
    ({"1": {"weight": 3}}, "no such width as weight = 3"),
]


@pytest.mark.parametrize(("widths", "reason"), WRONG)
def test_widths_of_another_network(widths: dict[str, Any], reason: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 4))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WidthError, match=reason):
        narrowed(model, widths)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_of_another_network() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 4))
    with pytest.raises(WidthError, match=r"the weights do not fit the pruned model: (.|\n)*size mismatch"):
        load_pruned(model, {"1": {"out_features": 3, "weight": [3, 8], "bias": [3]}}, model.state_dict())
