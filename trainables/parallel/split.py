"""Where a model is cut: contiguous stages of its layers, balanced or as named."""

from __future__ import annotations

import copy
import operator
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf

import torch
from torch import Tensor, nn

from trainables.config import ParallelConfig
from trainables.errors import near_miss
from trainables.models import ModelError

_TIMED_ROWS = 64
_TIMED_ROUNDS = 3


@dataclass(frozen=True)
class Layer:
    """What is not taken apart, by its name in the whole model, and the shape and type of what a row leaves it as."""

    name: str
    module: nn.Module
    output: Tensor
    """One row on the meta device."""

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())


def layers_of(model: nn.Module, input_shape: Sequence[int]) -> list[Layer]:
    """The layers that `model` runs one after the other: its nn.Sequentials, also within each other, are taken apart.

    Raises ModelError for a layer that gives no tensor.
    """
    was_training, found = model.training, []
    model.eval()
    with torch.no_grad():
        rows = torch.zeros(2, *input_shape)
        for name, module in _flattened(model, ""):
            rows = module(rows)
            if not isinstance(rows, Tensor):
                rule = f"layers must give a tensor, but {name} gave a {type(rows).__name__}"
                raise ModelError.at("parallel.stages", rule)
            found.append(Layer(name, module, rows[0].to("meta")))
    model.train(was_training)
    return found


def cut_points(layers: Sequence[Layer], config: ParallelConfig, costs: Sequence[float]) -> list[int]:
    """The places in `layers` at which the second stage and those after it begin.

    costs: of each layer, for stages of which the dearest is as cheap as can be; of several such cuts it is the one that
    hands over the fewest numbers. Raises ModelError if there are fewer layers with parameters than stages, or for a
    `cut` that is none.
    """
    weighty = sum(layer.parameters > 0 for layer in layers)
    if weighty < config.stages:
        rule = "must be at most the number of layers with parameters that the model's nn.Sequentials run in turn"
        raise ModelError.at("parallel.stages", f"{rule}, {weighty}, but got {config.stages}")
    points = _named(layers, config.cut) if config.cut else _balanced(layers, costs, config.stages)
    _check_apart([layers[start:stop] for start, stop in pairwise([0, *points, len(layers)])])
    return points


def measured(model: nn.Module, input_shape: Sequence[int], device: torch.device) -> list[float]:
    """Seconds that each layer takes on the device for a pass forward and back, the least of some rounds."""
    layers = [module for _, module in _flattened(copy.deepcopy(model).to(device).train(), "")]
    seconds = [inf] * len(layers)
    for _ in range(_TIMED_ROUNDS):
        rows = torch.rand(_TIMED_ROWS, *input_shape, device=device)
        for place, layer in enumerate(layers):
            started = _now(device)
            out = layer(rows)
            if out.requires_grad:
                out.sum().backward()
            seconds[place] = min(seconds[place], _now(device) - started)
            rows = out.detach().requires_grad_()
    return seconds


def part_of(model: nn.Module, layers: Sequence[Layer]) -> nn.Module:
    """An nn.Sequential of those layers, nested as `model` is, so that every parameter keeps its name."""
    return _pruned(model, "", {layer.name for layer in layers})


def _now(device: torch.device) -> float:
    """The time at which the device has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _flattened(module: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    """The layers of a module, with their dotted names, in the order in which they run."""
    if not _runs_in_turn(module):
        return [(name, module)]
    return [layer for child, inner in _children(module) for layer in _flattened(inner, _dotted(name, child))]


def _runs_in_turn(module: nn.Module) -> bool:
    """Whether it does nothing but run its children one after the other, and holds nothing itself."""
    plain = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    return plain and not module._parameters and not module._buffers


def _children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """As `named_children`, which leaves out a module that comes a second time."""
    return [(name, child) for name, child in module._modules.items() if child is not None]


def _pruned(module: nn.Module, name: str, kept: set[str]) -> nn.Module:
    if name in kept:
        return module
    inside = [(child, inner, _dotted(name, child)) for child, inner in _children(module)]
    parts = [(child, _pruned(inner, path, kept)) for child, inner, path in inside if _within(path, kept)]
    return nn.Sequential(OrderedDict(parts))


def _within(name: str, kept: set[str]) -> bool:
    return any(one == name or one.startswith(f"{name}.") for one in kept)


def _dotted(name: str, child: str) -> str:
    return f"{name}.{child}" if name else child


def _named(layers: Sequence[Layer], cut: Sequence[str]) -> list[int]:
    """Where the named layers are."""
    names = [layer.name for layer in layers]
    points = [_place(names, name) for name in cut]
    edges = [0, *points, len(layers)]
    if not all(_weighty(layers[start:stop]) for start, stop in pairwise(edges)):
        rule = "must name layers in the model's order, with parameters before, between and after them"
        raise ModelError.at("parallel.cut", f"{rule}, but got {', '.join(cut)}")
    return points


def _place(names: Sequence[str], name: str) -> int:
    """The first layer of that name, or within it; what build_model puts before a network's names may be left out."""
    for whole in (name, f"network.{name}"):
        found = [place for place, known in enumerate(names) if known == whole or known.startswith(f"{whole}.")]
        if found:
            return found[0]
    hint = near_miss(name, [known.removeprefix("network.") for known in names])
    raise ModelError.at("parallel.cut", f"must name layers of the model, but got {name!r}{hint}")


def _balanced(layers: Sequence[Layer], costs: Sequence[float], stages: int) -> list[int]:
    """The cuts with the cheapest dearest stage, and of these those that hand over least."""
    total = [0.0, *accumulate(costs)]

    def cost(start: int, stop: int) -> float:
        return total[stop] - total[start] if _weighty(layers[start:stop]) else inf

    def handed(start: int, stop: int) -> float:
        return (layers[start - 1].output.numel() if start else 0) if cost(start, stop) <= dearest else inf

    dearest, _ = _cheapest(len(layers), stages, cost, max)
    return _cheapest(len(layers), stages, handed, operator.add)[1]


def _cheapest(
    count: int, stages: int, price: Callable[[int, int], float], join: Callable[[float, float], float]
) -> tuple[float, list[int]]:
    """The lowest price of `count` layers in so many stages, and where all but the first begin: dynamic programming.

    price: of a stage from its first layer to the one before the next; `join` makes one price of two stages'.
    """
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for _ in range(stages):
        known, best = best, {}
        for stop in range(1, count + 1):
            ways = [(join(so_far, price(p, stop)), [*begins, p]) for p, (so_far, begins) in known.items() if p < stop]
            best[stop] = min(ways, default=(inf, []))
    so_far, begins = best[count]
    return so_far, begins[1:]


def _weighty(layers: Sequence[Layer]) -> bool:
    return any(layer.parameters for layer in layers)


def _check_apart(stages: Sequence[Sequence[Layer]]) -> None:
    """No two stages may share a parameter or a buffer: each would go its own way."""
    owner: dict[int, str] = {}
    for stage in stages:
        mine = {}
        for layer in stage:
            for value in (*layer.module.parameters(), *layer.module.buffers()):
                if id(value) in owner:
                    rule = "layers that share parameters must be in one stage"
                    raise ModelError.at("parallel.cut", f"{rule}, but got {owner[id(value)]} and {layer.name} in two")
                mine[id(value)] = layer.name
        owner |= mine
