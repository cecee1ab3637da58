"""Where models are cut."""

from __future__ import annotations

from collections import OrderedDict
from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainables import ModelError, resnet
from trainables.config import ParallelConfig
from trainables.parallel.split import Layer, cut_points, layers_of, measured, part_of


def stack() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    return nn.Sequential(OrderedDict(scale=nn.Identity(), network=nn.Sequential(*network, nn.Linear(8, 3))))


def points(model: nn.Module, shape: tuple[int, ...], costs: list[float] | None = None, **config: Any) -> list[int]:
    layers = layers_of(model, shape)
    return cut_points(layers, ParallelConfig(**config), costs or [float(layer.parameters) for layer in layers])


def test_sequentials_are_taken_apart_and_other_modules_are_not() -> None:
    layers = layers_of(stack(), (1, 4, 4))
    assert [layer.name for layer in layers] == [
        "scale", "network.0", "network.1", "network.2", "network.3.0", "network.3.1", "network.4",
    ]  # fmt: skip
    assert [tuple(layer.output.shape) for layer in layers] == [(1, 4, 4), (16,), (8,), (8,), (8,), (8,), (3,)]


def test_a_module_that_comes_twice_runs_twice() -> None:
    relu = nn.ReLU()
    names = [layer.name for layer in layers_of(nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu), (2,))]
    assert names == ["0", "1", "2", "3"]


def test_a_sequential_with_a_forward_of_its_own_is_one_layer() -> None:
    class Scaled(nn.Sequential):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(rows)

    assert [layer.name for layer in layers_of(nn.Sequential(Scaled(nn.Linear(2, 2), nn.ReLU())), (2,))] == ["0"]


@pytest.mark.parametrize("stages", [2, 3])
def test_parts_run_in_turn_are_the_model_and_keep_its_names(stages: int) -> None:
    model, shape = nn.Sequential(nn.Identity(), resnet((1, 8, 8), 10, width=4)).eval(), (1, 8, 8)
    layers = layers_of(model, shape)
    edges = [0, *points(model, shape, stages=stages), len(layers)]
    parts = [part_of(model, layers[start:stop]) for start, stop in pairwise(edges)]
    rows = images = torch.rand(3, *shape)
    for part in parts:
        rows = part(rows)
    assert torch.equal(rows, model(images))
    names = [name for part in parts for name in part.state_dict()]
    assert names == list(model.state_dict())


@given(
    costs=st.lists(st.sampled_from([0.0, 1.0, 2.0, 5.0]), min_size=2, max_size=7),
    stages=st.integers(1, 3),
    sizes=st.lists(st.integers(1, 9), min_size=7, max_size=7),
)
def test_cuts_are_the_best_of_all_there_are(costs: list[float], stages: int, sizes: list[int]) -> None:
    layers = [
        Layer(str(place), nn.Linear(1, 1) if cost else nn.ReLU(), torch.empty(sizes[place]))
        for place, cost in enumerate(costs)
    ]

    def score(cuts: tuple[int, ...]) -> tuple[float, int]:
        parts = [costs[start:stop] for start, stop in pairwise([0, *cuts, len(costs)])]
        return max(map(sum, parts)), sum(sizes[cut - 1] for cut in cuts)

    ways = [
        cuts
        for cuts in combinations(range(1, len(costs)), stages - 1)
        if all(any(costs[start:stop]) for start, stop in pairwise([0, *cuts, len(costs)]))
    ]
    if not ways:
        with pytest.raises(
            ModelError, match=r"^parallel\.stages: must be at most the number of layers with parameters"
        ):
            cut_points(layers, ParallelConfig(stages=stages), costs)
        return
    found = cut_points(layers, ParallelConfig(stages=stages), costs)
    assert score(tuple(found)) == min(map(score, ways))


def test_measured_seconds_are_of_each_layer_and_leave_the_model_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2000), nn.BatchNorm1d(2000), nn.Linear(2000, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seconds = measured(model, (1, 4, 4), torch.device("cpu"))
    assert len(seconds) == 4
    assert all(0 < one < 60 for one in seconds)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("cut", "expected"), [(["network.3"], [4]), (["3"], [4]), (["network.3.0"], [4]), (["2", "4"], [3, 6])]
)
def test_layers_can_be_named_with_or_without_what_they_are_in(cut: list[str], expected: list[int]) -> None:
    assert points(stack(), (1, 4, 4), stages=len(cut) + 1, cut=cut) == expected


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (["netwrk.3"], r"parallel\.cut: must name layers of the model, but got 'netwrk\.3'"),
        (
            ["4", "1"],
            "must name layers in the model's order, with parameters before, between and after them, but got 4, 1",
        ),
        (["0"], "with parameters before, between and after them, but got 0"),
    ],
)
def test_a_cut_that_is_none_is_refused(cut: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        points(stack(), (1, 4, 4), stages=len(cut) + 1, cut=cut)


def test_more_stages_than_layers_are_refused() -> None:
    with pytest.raises(ModelError, match=r"parallel\.stages: must be at most .* run in turn, 3, but got 4"):
        points(stack(), (1, 4, 4), stages=4)


def test_layers_that_share_parameters_stay_together() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), nn.Linear(4, 4), shared)
    with pytest.raises(ModelError, match="share parameters must be in one stage, but got 0 and 3 in two"):
        points(model, (4,), stages=2)


def test_a_layer_that_gives_no_tensor_is_refused() -> None:
    with pytest.raises(ModelError, match="layers must give a tensor, but 0 gave a tuple"):
        layers_of(nn.Sequential(nn.LSTM(4, 4)), (3, 4))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"stages": 3, "cut": ["1"]}, "must name stages - 1 layers, 2, but got"),
        ({"stages": 4, "schedule": "1f1b", "micro_batches": 2}, "must be at least stages, 4, for 1f1b, but got 2"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParallelConfig(**config)
