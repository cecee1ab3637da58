"""A pruned network is the whole one with channels silenced, or its layers stay as they are."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.trainables.compress import zoo
from trainables import Split
from trainables.compress import (
    PruneError,
    PruneWarning,
    Pruning,
    cost,
    dependencies,
    load_pruned,
    prune,
    prune_exactly,
    widths_of,
)

OUT_OF_REACH = {"mixed: attention", "mixed: transformer", "mixed: gru", "mixed: projected lstm", "tables: tied linear"}
"""What is left of them without the layers that can be pruned is more than was asked for."""

FOLLOWED = {
    "moved: flatten", "moved: transposed flatten", "moved: pooled flatten", "moved: spatial softmax",
    "moved: standard deviation", "moved: halves added", "moved: concatenated with itself", "moved: sides swapped",
    "moved: single precision",
    "mixed: grouped", "mixed: depthwise", "mixed: transposed", "mixed: depthwise transposed", "mixed: one dimension",
    "mixed: three dimensions", "mixed: residual with norms", "mixed: concatenated", "mixed: u-net", "mixed: pyramid",
    "mixed: product", "mixed: quotient", "mixed: stacked", "mixed: excited", "mixed: excited hard",
    "mixed: called twice", "mixed: scaled", "mixed: own attention, one head", "mixed: lstm", "norm: batch",
    "norm: group", "norm: group of one", "norm: instance", "norm: instance with scale", "norm: cosine",
    "norm: before the layer", "activation: Hardswish", "activation: PReLU", "activation: PReLU of channels",
    "tables: batch norm", "tables: skip", "tables: embedded",
}  # fmt: skip
"""All of their layers but the last can be pruned."""


def silenced(whole: nn.Module, pruned: nn.Module) -> nn.Module:
    """The whole network without a contribution of the channels that left: those whose bias is none of the pruned ones.

    Biases tell channels apart, as no two are equal.
    """
    whole, left = copy.deepcopy(whole), dict(pruned.named_modules())
    for name, module in whole.named_modules():
        bias: Any = getattr(module, "bias", None)
        if not isinstance(bias, Tensor) or bias.ndim != 1:
            continue
        gone = ~torch.isin(bias.detach(), left[name].get_parameter("bias").detach())
        weight: Any = module.weight
        bias.data[gone] = 0
        weight.data.index_fill_(
            int(getattr(module, "transposed", False) and module.groups == 1), gone.nonzero()[:, 0], 0
        )
    return whole


def apart(whole: nn.Module, pruned: nn.Module, inputs: Tensor) -> float:
    """The largest difference of the outputs, relative to the largest output."""
    with torch.no_grad():
        expected, found = silenced(whole, pruned).eval()(inputs), pruned.eval()(inputs)
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


def attempt(whole: nn.Module, shape: zoo.Shape, keep: float) -> tuple[Any, str]:
    """The pruned network, or the error."""
    try:
        return prune_exactly(whole, shape, keep), ""
    except PruneError as error:
        return None, str(error)


@pytest.mark.parametrize("name", zoo.ZOO)
def test_pruning_is_exact_or_does_not_happen(name: str) -> None:
    whole, shape = zoo.made(name)
    pruned, error = attempt(whole, shape, 0.65)
    if not pruned:
        assert name in OUT_OF_REACH
        assert "least possible is" in error
        return
    inputs = 2 * torch.rand(5, *shape)
    assert apart(whole, pruned.model, inputs) < 1e-5
    assert cost(pruned.model, shape).macs <= 0.65 * cost(whole, shape).macs
    again = load_pruned(whole, json.loads(json.dumps(widths_of(pruned.model, whole))), pruned.model.state_dict())
    assert torch.equal(again.eval()(inputs), pruned.model(inputs))
    assert (name in FOLLOWED) <= (pruned.kept == ())


@pytest.mark.parametrize(
    ("name", "layers", "reason"),
    [
        ("moved: permute and flatten", "2", r"silenced \(off by .*\); on their way: relu, permute, clone, reshape"),
        ("moved: pixel shuffle", "0", "channels cannot be followed: some lie outside 3"),
        ("moved: bilinear pooling", "2", "channels cannot be followed"),
        ("moved: repeated", "0", "does not run without some of their channels: RuntimeError: Given groups=1"),
        ("mixed: depthwise multiplier", "2, 0", "a convolution makes several outputs of each channel"),
        ("mixed: attention", "embed", r"all channels count in mix \(MultiheadAttention\)"),
        ("mixed: tied", "2.other", "weights are shared with other layers"),
        ("mixed: auxiliary", "first", "the network does not train without some of their channels"),
        ("norm: one group", "2", r"all channels count in 3 \(GroupNorm\)"),
        ("norm: weights", "2, 0", "weights are computed from others"),
        ("activation: Sigmoid", "2", "are not those with them silenced .* on their way: sigmoid"),
    ],
)
def test_a_line_says_which_layers_are_left_and_why(name: str, layers: str, reason: str) -> None:
    whole, shape = zoo.made(name)
    with pytest.warns(PruneWarning, match=f"^as wide as before: {layers}: .*{reason}"):
        prune(whole, shape, 0.98)


def test_where_nothing_else_can_be_pruned_the_error_says_why() -> None:
    torch.manual_seed(0)
    last = [nn.Flatten(), nn.Linear(1024, 10)]
    model = nn.Sequential(zoo.conv(3, 16), nn.ReLU(), zoo.Apply(lambda x: x.permute(0, 2, 3, 1)), *last)
    with pytest.raises(PruneError, match=r"nothing can be pruned: .*; as wide as before: 0: .* silenced"):
        prune(model, zoo.IMAGE, 0.5)


@pytest.mark.parametrize("keep", [0.9, 0.6, 0.3])
def test_a_network_that_has_not_been_trained_shows_nothing_but_is_pruned_exactly(keep: float) -> None:
    """Its outputs are all zero, whatever is cut."""
    whole, shape = zoo.made("moved: permute and flatten")
    for parameter in list(whole.parameters())[-2:]:
        nn.init.zeros_(parameter)
    pruned = prune(whole, shape, keep)
    assert pruned[2].out_channels == 16  # type: ignore[index]


class Moody(nn.Module):
    """Turns channels round where a condition on its maps holds."""

    def __init__(self, condition: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.first, self.second, self.head = zoo.conv(3, 32), zoo.conv(32, 32), nn.Linear(32, 10)
        self.condition = condition

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        out: Tensor = self.head(self.second(x.flip(1) if self.condition(x) else x).relu().mean((2, 3)))
        return out


def test_real_examples_are_looked_at() -> None:
    torch.manual_seed(0)
    model = Moody(lambda x: float(x.max()) > 10)
    examples = Split(100 * torch.rand(20, *zoo.IMAGE), torch.zeros(20, dtype=torch.long))
    assert prune_exactly(model, zoo.IMAGE, 0.5).kept == ()
    assert prune_exactly(model, zoo.IMAGE, 0.5, Pruning(), examples).kept[0].startswith("as wide as before: first: ")


def test_the_channels_that_leave_are_looked_at_and_not_only_a_sample() -> None:
    torch.manual_seed(0)
    model = Moody(lambda x: x.shape[1] < 16)
    assert prune_exactly(model, zoo.IMAGE, 0.5).kept == ()
    pruned = prune_exactly(model, zoo.IMAGE, 0.21)
    assert pruned.kept[0].startswith("as wide as before: first: ")
    assert apart(model, pruned.model, torch.rand(5, *zoo.IMAGE)) < 1e-5


class Pair(nn.Module):
    """Turns channels round where two layers are narrow together."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = zoo.conv(3, 32), zoo.conv(32, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        one = self.first(x).relu()
        two = self.second(one).relu()
        out: Tensor = self.head((two.flip(1) if one.shape[1] + two.shape[1] < 40 else two).mean((2, 3)))
        return out


def test_layers_that_can_be_pruned_one_by_one_but_not_together_are_told_apart() -> None:
    torch.manual_seed(0)
    whole = Pair()
    pruned = prune_exactly(whole, zoo.IMAGE, 0.7)
    assert [line.split(": ")[1] for line in pruned.kept] == ["first"]
    assert apart(whole, pruned.model, torch.rand(5, *zoo.IMAGE)) < 1e-5


def test_what_cannot_be_built_again_from_widths_and_weights_is_left() -> None:
    whole, shape = zoo.made("norm: batch")
    whole[3]._non_persistent_buffers_set.add("running_mean")  # type: ignore[index]
    assert [line.split(": ")[1] for line in prune_exactly(whole, shape, 0.8).kept] == ["2"]


def test_a_search_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "_STEPS", 0)
    whole, shape = zoo.made("norm: batch")
    with pytest.raises(PruneError, match=r"nothing can be pruned: .*: channels cannot be followed: they multiply"):
        prune(whole, shape, 0.8)


def test_widths_that_the_code_does_not_like_are_left() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        zoo.conv(3, 16), zoo.Apply(lambda x: x[:, :, :4] if x.shape[1] % 8 == 0 else x.view(-1, 7)), nn.ReLU(),
        zoo.conv(16, 16), nn.ReLU(), *zoo.pooled(16),
    )  # fmt: skip
    with pytest.raises(PruneError, match=r"as wide as before: 0: the network does not run .* shape '\[-1, 7\]'"):
        prune(model, zoo.IMAGE, 0.15)


@pytest.mark.parametrize("outputs", [lambda x: (x, x), lambda x: x / 0])
def test_a_network_whose_outputs_cannot_be_compared_is_refused(outputs: Callable[[Tensor], Tensor]) -> None:
    model = nn.Sequential(zoo.conv(3, 16), nn.ReLU(), *zoo.pooled(16), zoo.Apply(outputs))
    with pytest.raises(PruneError, match="the network cannot be traced: "):
        prune(model, zoo.IMAGE, 0.5)


def test_an_offset_of_the_outputs_hides_no_difference() -> None:
    whole, shape = zoo.made("moved: flipped")
    assert prune_exactly(nn.Sequential(whole, zoo.Apply(lambda x: x + 1e6)), shape, 0.7).kept


STEPS: dict[str, Callable[[int], tuple[list[nn.Module], int]]] = {
    "convolution": lambda width: ([zoo.conv(width, 16)], 16),
    "narrow convolution": lambda width: ([zoo.conv(width, 8, 1)], 8),
    "grouped": lambda width: ([zoo.conv(width, width, groups=4)], width),
    "depthwise": lambda width: ([zoo.conv(width, width, groups=width)], width),
    "multiplier": lambda width: ([zoo.conv(width, 2 * width, groups=width)], 2 * width),
    "transposed": lambda width: ([nn.ConvTranspose2d(width, 16, 3, padding=1)], 16),
    "batch norm": lambda width: ([nn.BatchNorm2d(width)], width),
    "group norm": lambda width: ([nn.GroupNorm(4, width)], width),
    "layer norm": lambda width: ([zoo.last(nn.LayerNorm(width))], width),
    "channels last": lambda width: ([zoo.last(nn.Linear(width, 16))], 16),
    "relu": lambda width: ([nn.ReLU()], width),
    "sigmoid": lambda width: ([nn.Sigmoid()], width),
    "gelu": lambda width: ([nn.GELU()], width),
    "slopes": lambda width: ([nn.PReLU(width)], width),
    "excited": lambda width: ([zoo.Excited(width, nn.Sigmoid())], width),
    "residual": lambda width: ([zoo.Join(torch.add, nn.Identity(), zoo.conv(width, width))], width),
    "gated": lambda width: ([zoo.Join(torch.mul, zoo.conv(width, 8), zoo.conv(width, 8))], 8),
    "concatenated": lambda width: (
        [zoo.Join(lambda *parts: torch.cat(parts, 1), nn.Identity(), zoo.conv(width, 8))],
        width + 8,
    ),
    "halves added": lambda width: ([zoo.Apply(lambda x: torch.add(*x.chunk(2, 1)))], width // 2),
    "halves swapped": lambda width: ([zoo.Apply(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1))], width),
    "shuffled": lambda width: ([zoo.Apply(zoo.shuffle)], width),
    "pixel shuffle": lambda width: ([nn.PixelShuffle(2), nn.AvgPool2d(2)], width // 4),
    "pixel unshuffle": lambda width: ([nn.Upsample(scale_factor=2), nn.PixelUnshuffle(2)], 4 * width),
    "padded": lambda width: ([zoo.Apply(lambda x: nn.functional.pad(x, (0, 0, 0, 0, 2, 2)))], width + 4),
    "sliced": lambda width: ([zoo.Apply(lambda x: x[:, : x.shape[1] // 2])], width // 2),
    "repeated": lambda width: ([zoo.Apply(lambda x: x.repeat(1, 2, 1, 1))], 2 * width),
    "rolled": lambda width: ([zoo.Apply(lambda x: x.roll(3, 1))], width),
    "pooled": lambda width: ([nn.AvgPool2d(3, 1, 1)], width),
}
HEADS: dict[str, Callable[[int], list[nn.Module]]] = {
    "pooled": lambda width: zoo.pooled(width),
    "flattened": lambda width: [nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4 * width, 10)],
    "flattened, channels last": lambda width: [
        nn.AvgPool2d(4), zoo.Apply(lambda x: x.permute(0, 2, 3, 1).flatten(1)), nn.Linear(4 * width, 10)
    ],
}  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6),
    head=st.sampled_from(sorted(HEADS)),
    keep=st.sampled_from([0.8, 0.5, 0.3]),
)
def test_so_it_is_for_whatever_they_are_composed_of(steps: list[str], head: str, keep: float) -> None:
    torch.manual_seed(0)
    layers, width = [zoo.conv(3, 16)], 16
    for step in steps:
        if not width % 8 and width <= 64:
            more, width = STEPS[step](width)
            layers += more
    whole = nn.Sequential(*layers, zoo.conv(width, 16), nn.ReLU(), *HEADS[head](16))
    zoo.randomize(whole)
    pruned, error = attempt(whole, zoo.IMAGE, keep)
    if pruned:
        assert apart(whole, pruned.model, torch.rand(5, *zoo.IMAGE)) < 1e-5
    else:
        assert "least possible" in error or "as wide as before" in error
