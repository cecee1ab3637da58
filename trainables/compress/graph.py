"""Which channels of a network must go together, as torch-pruning's dependency graph knows them (DepGraph, Fang et al.
2023, arXiv:2301.12900)."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from trainables.compress.probe import evaluation, example

Footprint = tuple[tuple[str, bool, float], ...]
"""For each module that shrinks: its name, whether by outputs or else inputs, the fraction of them a channel takes."""


@dataclass(frozen=True)
class Unit:
    """Output `channels` of the layer `root` that leave together: at least one of each convolution group."""

    score: float
    root: str
    channels: tuple[int, ...]
    footprint: Footprint


class Graph:
    """The dependency graph of a model, which it may change."""

    def __init__(self, model: nn.Module, input_shape: Sequence[int]) -> None:
        # torch-pruning follows autograd: a frozen parameter would silently cut its layer out of the graph.
        model.requires_grad_(True)
        self._modules = dict(model.named_modules())
        self._names = {module: name for name, module in self._modules.items()}
        with evaluation(model), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            inputs = example(model, input_shape)
            self._graph = tp.DependencyGraph().build_dependency(model, example_inputs=inputs)

    def groups(self, keep: Collection[str] = ()) -> Iterator[Any]:
        """The sets of layers whose channels go together, each with all its channels; none with a layer of `keep`."""
        for group in self._graph.get_all_groups(root_module_types=[nn.modules.conv._ConvNd, nn.Linear]):
            if not any(self._is_fixed(dependency, keep) for dependency, _ in group):
                yield group

    def _is_fixed(self, dependency: Any, keep: Collection[str]) -> bool:
        """Whether a part of a group may not shrink: it is to be kept, gives the output, or cannot be followed."""
        target = dependency.target
        last = not target.outputs and self._graph.is_out_channel_pruning_fn(dependency.handler)
        return last or self._names.get(target.module) in keep or _widens_each_channel(target.module)

    def units(self, group: Any, score: Callable[[Any], Tensor]) -> Iterator[Unit]:
        """The units of a group; a grouped layer loses the same channels in each of its groups."""
        scores = score(group).nan_to_num()
        width = len(scores) // max(self._folds(dependency) for dependency, _ in group)
        root, footprint = group[0].dep.target.module, self._footprint(group, len(scores))
        units = [tuple(range(first, len(scores), width)) for first in range(width)]
        if self._closure(root, units[0]) != units[0]:
            units = list(dict.fromkeys(self._closure(root, unit) for unit in units))
        for channels in units:
            yield Unit(float(scores[list(channels)].mean()), self._names[root], channels, footprint)

    def remove(self, units: Sequence[Unit]) -> None:
        """Take the units out of the model."""
        channels: dict[str, list[int]] = defaultdict(list)
        for unit in units:
            channels[unit.root] += unit.channels
        for name, indices in channels.items():
            self._group(self._modules[name], sorted(indices)).prune()

    def _footprint(self, group: Any, channels: int) -> Footprint:
        indices: dict[tuple[nn.Module, bool], set[int]] = defaultdict(set)
        for dependency, found in group:
            outputs = self._graph.is_out_channel_pruning_fn(dependency.handler)
            indices[dependency.target.module, outputs].update(found)
        return tuple(
            (self._names[module], outputs, len(found) / channels / self._width(module, outputs))
            for (module, outputs), found in indices.items()
            if module in self._names and any(True for _ in module.parameters(recurse=False))
        )

    def _width(self, module: nn.Module, outputs: bool) -> int:
        count = self._graph.get_out_channels if outputs else self._graph.get_in_channels
        return int(count(module))

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
