"""Structured pruning: whole channels leave the network, so it is smaller and faster on any runtime.

Which channels must go together is read from torch-pruning's dependency graph (DepGraph, Fang et al. 2023,
arXiv:2301.12900); which go first, and how many, is decided here.
"""

from __future__ import annotations

import copy
import math
import warnings
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

MIN_CHANNELS = 0.1
"""Fraction of a layer's channels that always stays: a layer cut to almost nothing cannot be trained back."""

WIDTHS = (8, 4, 1)
"""Channels that leave together, so that the widths left are multiples of it, best first.

Runtimes compute in blocks of 8 or 4 channels: ONNX Runtime needed 2.2 times as long for 15 channels as for 16.
"""

TOLERANCE = 0.05
"""How far below the target, as a fraction of the parent's operations, a pruned model may stay for wide blocks."""


class PruneError(ValueError):
    """The network cannot be pruned as asked; the message says how far it could go."""


@dataclass(frozen=True)
class Cost:
    """What one input costs: multiply-accumulates of convolutions and matrix products, and parameters held."""

    macs: int
    parameters: int


@dataclass(frozen=True)
class _Unit:
    """The smallest thing to remove: output `channels` of the layer `root`, one of each convolution group."""

    score: float
    root: str
    channels: tuple[int, ...]


def cost(model: nn.Module, input_shape: Sequence[int]) -> Cost:
    """Count the operations of one input of shape (C, H, W) and the parameters of `model`."""
    counter = FlopCounterMode(display=False)
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not know fused transformer layers
    try:
        with _evaluation(model), torch.no_grad(), counter:
            model(_example(model, input_shape, batch=1))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return Cost(counter.get_total_flops() // 2, sum(p.numel() for p in model.parameters()))


def prune(model: nn.Module, input_shape: Sequence[int], keep: float, importance: str = "magnitude") -> nn.Module:
    """Return a copy of `model` with at most the fraction `keep` of its multiply-accumulates.

    Blocks of channels leave one by one, least important of the whole network first, until the target is met; the
    shape of the output stays. The blocks are as wide as possible, see WIDTHS, while `keep` is met to within
    TOLERANCE. Raises PruneError if nothing can be pruned or the target is out of reach.
    """
    if not 0 < keep < 1:
        raise PruneError(f"`0 < keep < 1` must hold, but got keep={keep}")
    units = _units(model, input_shape, IMPORTANCE[importance])
    whole = cost(model, input_shape).macs
    for width in WIDTHS:
        order = _blocks(units, width)
        floor = _macs_without(model, input_shape, order)
        if floor > keep * whole:
            continue
        removed = _selection(model, input_shape, order, keep * whole)
        macs = _macs_without(model, input_shape, removed)
        if macs >= (keep - TOLERANCE) * whole or width == WIDTHS[-1]:
            return _without(model, input_shape, removed)
    raise PruneError(f"cannot keep {keep:.3g} of the operations: the least possible is {floor / whole:.3g}")


def _units(model: nn.Module, input_shape: Sequence[int], score: Callable[[Any], Tensor]) -> list[list[_Unit]]:
    """The units of each group of layers that can be pruned at all, least important first."""
    graph = _Graph(copy.deepcopy(model), input_shape)
    groups = [sorted(graph.units(group, score), key=lambda unit: unit.score) for group in graph.groups()]
    prunable = _prunable(model, input_shape, [units for units in groups if len(units) > 1])
    if not prunable:
        raise PruneError("nothing can be pruned: every layer's width is fixed by the input or the output")
    return prunable


def _prunable(model: nn.Module, input_shape: Sequence[int], groups: list[list[_Unit]]) -> list[list[_Unit]]:
    """The groups without those that spoil the output, which are sought in halves."""
    if _works(model, input_shape, [units[0] for units in groups]):
        return groups
    if len(groups) <= 1:
        return []
    half = len(groups) // 2
    return [*_prunable(model, input_shape, groups[:half]), *_prunable(model, input_shape, groups[half:])]


def _blocks(groups: Sequence[Sequence[_Unit]], width: int) -> list[_Unit]:
    """The units joined so that multiples of `width` channels stay; of all groups, least important first."""
    blocks = []
    for units in groups:
        step = math.lcm(width, len(units[0].channels)) // len(units[0].channels)
        least = max(1, math.ceil(MIN_CHANNELS * len(units)))
        ends = [end for end in range(1, len(units) - least + 1) if (len(units) - end) % step == 0]
        blocks += [_joined(units[start:end]) for start, end in pairwise([0, *ends])]
    return sorted(blocks, key=lambda block: block.score)


def _joined(units: Sequence[_Unit]) -> _Unit:
    channels = tuple(channel for unit in units for channel in unit.channels)
    return _Unit(sum(unit.score for unit in units) / len(units), units[0].root, channels)


def _selection(model: nn.Module, input_shape: Sequence[int], order: Sequence[_Unit], target: float) -> list[_Unit]:
    """Which of `order` to remove: the fewest from its start that meet `target`, less those not needed for it."""
    count = bisect_left(range(len(order)), -target, key=lambda n: -_macs_without(model, input_shape, order[:n]))
    removed = list(order[:count])
    done: set[str] = set()
    for block in reversed(order[:count]):
        fewer = [other for other in removed if other is not block]
        if block.root in done:
            continue
        if _macs_without(model, input_shape, fewer) <= target:
            removed = fewer
        else:
            done.add(block.root)
    return removed


def _macs_without(model: nn.Module, input_shape: Sequence[int], units: Sequence[_Unit]) -> int:
    return cost(_without(model, input_shape, units), input_shape).macs


def _works(model: nn.Module, input_shape: Sequence[int], units: Sequence[_Unit]) -> bool:
    """Whether the output's shape survives the removal: false for output layers and for widths fixed in code."""
    with _evaluation(model), torch.no_grad():
        shape = model(_example(model, input_shape)).shape
    try:
        pruned = _without(model, input_shape, units)
        with _evaluation(pruned), torch.no_grad():
            return bool(pruned(_example(model, input_shape)).shape == shape)
    except Exception:  # whatever the network's own code or the graph's trips over, these layers stay
        return False


def _without(model: nn.Module, input_shape: Sequence[int], units: Sequence[_Unit]) -> nn.Module:
    """A copy of `model` without the units."""
    pruned = copy.deepcopy(model)
    if units:
        _Graph(pruned, input_shape).remove(units)
    for (_, old), (_, new) in zip(model.named_parameters(), pruned.named_parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    return pruned


class _Graph:
    """The dependency graph of a model that it may change."""

    def __init__(self, model: nn.Module, input_shape: Sequence[int]) -> None:
        # torch-pruning follows autograd: a frozen parameter would silently cut its layer out of the graph.
        model.requires_grad_(True)
        self._modules = dict(model.named_modules())
        self._names = {module: name for name, module in self._modules.items()}
        with _evaluation(model), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            example = _example(model, input_shape)
            self._graph = tp.DependencyGraph().build_dependency(model, example_inputs=example)

    def groups(self) -> Iterator[Any]:
        """The sets of layers whose channels go together, each with all its channels."""
        for group in self._graph.get_all_groups(root_module_types=[nn.modules.conv._ConvNd, nn.Linear]):
            if not any(_widens_each_channel(dependency.target.module) for dependency, _ in group):
                yield group

    def units(self, group: Any, score: Callable[[Any], Tensor]) -> Iterator[_Unit]:
        """The units of a group; a grouped layer loses the same channels in each of its groups."""
        scores = score(group)
        width = len(scores) // max(self._folds(dependency) for dependency, _ in group)
        root = group[0].dep.target.module
        units = [tuple(range(first, len(scores), width)) for first in range(width)]
        if self._closure(root, units[0]) != units[0]:
            units = list(dict.fromkeys(self._closure(root, unit) for unit in units))
        for channels in units:
            yield _Unit(float(scores[list(channels)].mean()), self._names[root], channels)

    def remove(self, units: Sequence[_Unit]) -> None:
        """Take the units out of the model."""
        channels: dict[str, list[int]] = defaultdict(list)
        for unit in units:
            channels[unit.root] += unit.channels
        for name, indices in channels.items():
            self._group(self._modules[name], sorted(indices)).prune()

    def _group(self, module: nn.Module, channels: Sequence[int]) -> Any:
        pruner = self._graph.get_pruner_of_module(module)
        return self._graph.get_pruning_group(module, pruner.prune_out_channels, channels)

    def _closure(self, module: nn.Module, channels: Sequence[int]) -> tuple[int, ...]:
        """The output channels of `module` that go with these: more, where halves of it meet again."""
        outputs = [
            item.idxs
            for item in self._group(module, channels)
            if item.dep.target.module is module and self._graph.is_out_channel_pruning_fn(item.dep.handler)
        ]
        return tuple(sorted({channel for indices in outputs for channel in indices}))

    def _folds(self, dependency: Any) -> int:
        module = dependency.target.module
        if isinstance(module, nn.modules.conv._ConvNd) and module.groups == module.out_channels:
            return 1  # depthwise: each channel is on its own
        pruner = self._graph.get_pruner_of_module(module)
        if self._graph.is_out_channel_pruning_fn(dependency.handler):
            return int(pruner.get_out_channel_groups(module))
        return int(pruner.get_in_channel_groups(module))


def _widens_each_channel(module: nn.Module) -> bool:
    """Whether each input channel has several outputs of its own, which torch-pruning cannot follow."""
    if not isinstance(module, nn.modules.conv._ConvNd):
        return False
    return 1 < module.groups == module.in_channels != module.out_channels


def _magnitude(group: Any) -> Tensor:
    """Squared L2 norm of each channel's weights over all layers of the group, relative to the group's mean."""
    return tp.importance.GroupMagnitudeImportance(p=2, normalizer="mean")(group)  # type: ignore[no-any-return]


IMPORTANCE: dict[str, Callable[[Any], Tensor]] = {"magnitude": _magnitude}


def _example(model: nn.Module, input_shape: Sequence[int], batch: int = 2) -> Tensor:
    """Inputs to trace with; two, so that a reshape that mixes channels into the batch shows."""
    first = next(iter(model.parameters()), torch.empty(0))
    return torch.zeros(batch, *input_shape, device=first.device)


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and each module's own mode again after it."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
