"""Which channels of a network must go together, as torch-pruning's dependency graph knows them (DepGraph, Fang et al.
2023, arXiv:2301.12900)."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._pytree import tree_map

from trainables.compress.dependencies import GraphError, WholeGroups, follow, is_output
from trainables.compress.probe import evaluation

Footprint = tuple[tuple[str, bool, float], ...]
"""For each module that shrinks: its name, whether by outputs or else inputs, the fraction of them a channel takes."""

_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True)
class Unit:
    """Output `channels` of the layer `root` that leave together: at least one of each convolution group."""

    score: float
    root: str
    channels: tuple[int, ...]
    footprint: Footprint


@dataclass(frozen=True)
class Output:
    """Channels that a module makes, or passes on as a norm does."""

    name: str
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Layers whose outputs lose the same channels.

    layers: their names. operations: of what is done to the channels on their way. hindrance: why they cannot leave.
    """

    dependencies: Any
    layers: tuple[str, ...]
    operations: tuple[str, ...] = ()
    hindrance: str = ""


class Graph:
    """The dependency graph of a model, which it may change. inputs: an example (B, ...) to trace the model with."""

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        # torch-pruning follows autograd: a frozen parameter would silently cut its layer out of the graph.
        model.requires_grad_(True)
        self._modules = dict(model.named_modules())
        self._names = {module: name for name, module in self._modules.items()}
        with evaluation(model), _plain_recurrences(model), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._graph = tp.DependencyGraph().build_dependency(
                model, example_inputs=inputs, customized_pruners={nn.GroupNorm: WholeGroups()}
            )

    def groups(self, keep: Collection[str] = ()) -> Iterator[Group]:
        """The sets of layers whose channels go together, each with all its channels; none with a layer of `keep`, and
        none that gives the network's output. Some have a hindrance."""
        visited: set[Any] = set()
        for module in list(self._graph.module2node):
            if isinstance(module, _LAYERS) and module not in visited:
                try:
                    found = self._dependencies(module, range(self._width(module, outputs=True)))
                except Exception as error:  # the graph stumbles over operations that it does not know
                    yield Group(None, (self._names[module],), hindrance=f"channels cannot be followed: {said(error)}")
                    continue
                visited.update(dependency.target.module for dependency, _ in found if self._is_output(dependency))
                if not any(self._is_fixed(dependency, keep) for dependency, _ in found):
                    yield self._described(found)

    def _is_fixed(self, dependency: Any, keep: Collection[str]) -> bool:
        """Whether a part of a group is to be kept, or gives the output."""
        target = dependency.target
        return (not target.outputs and self._is_output(dependency)) or self._names.get(target.module) in keep

    def _described(self, found: Any) -> Group:
        targets = [dependency.target.module for dependency, _ in found]
        outputs = [dependency.target.module for dependency, _ in found if self._is_output(dependency)]
        layers = [self._names[module] for module in outputs if isinstance(module, _LAYERS)]
        operations = filter(None, map(_operation, targets))
        mixed = [f"{self._names[one]} ({type(one).__name__})" for one in outputs if _mixes(one)]
        hindrance = f"all channels count in {mixed[0]}" if mixed else ""
        if any(map(_widens_each_channel, targets)):
            hindrance = "a convolution makes several outputs of each channel"
        if any(isinstance(one, nn.Module) and is_parametrized(one) for one in targets):
            hindrance = "weights are computed from others"
        return Group(found, tuple(layers), tuple(dict.fromkeys(operations)), hindrance)

    def units(self, group: Group, score: Callable[[Any], Tensor]) -> Iterator[Unit]:
        """The units of a group; a grouped layer loses the same channels in each of its groups, a GroupNorm whole ones.

        Raises GraphError.
        """
        found = group.dependencies
        scores = score(found).nan_to_num()
        root, footprint = found[0].dep.target.module, self._footprint(found, len(scores))
        width, block = len(scores) // max(self._folds(one) for one, _ in found), math.lcm(*map(_block, found))
        if len(scores) != self._width(root, outputs=True) or width % block:
            raise GraphError("channels cannot be told apart")
        parts = [range(first, len(scores), width) for first in range(width)]
        units = [
            tuple(sorted(channel for part in parts[first : first + block] for channel in part))
            for first in range(0, width, block)
        ]
        if self._closure(root, units[0]) != units[0]:
            units = list(dict.fromkeys(self._closure(root, unit) for unit in units))
        for channels in units:
            yield Unit(float(scores[list(channels)].mean()), self._names[root], channels, footprint)

    def outputs(self, units: Sequence[Unit]) -> list[Output]:
        """All outputs that leave with the units."""
        return [
            Output(self._names[item.dep.target.module], tuple(item.idxs))
            for group in self._parts(units)
            for item in group
            if self._is_output(item.dep) and item.dep.target.module in self._names
        ]

    def remove(self, units: Sequence[Unit]) -> None:
        """Take the units out of the model."""
        for group in self._parts(units):
            group.prune()

    def _parts(self, units: Sequence[Unit]) -> Iterator[Any]:
        """The dependencies of the units, layer by layer."""
        channels: dict[str, list[int]] = defaultdict(list)
        for unit in units:
            channels[unit.root] += unit.channels
        for name, indices in channels.items():
            yield self._dependencies(self._modules[name], sorted(indices))

    def _dependencies(self, module: nn.Module, channels: Sequence[int]) -> Any:
        return follow(self._graph, module, channels)

    def _is_output(self, dependency: Any) -> bool:
        return is_output(self._graph, dependency)

    def _footprint(self, found: Any, channels: int) -> Footprint:
        indices: dict[tuple[nn.Module, bool], set[int]] = defaultdict(set)
        for dependency, own in found:
            indices[dependency.target.module, self._is_output(dependency)].update(own)
        return tuple(
            (self._names[module], outputs, len(own) / channels / self._width(module, outputs))
            for (module, outputs), own in indices.items()
            if module in self._names and any(True for _ in module.parameters(recurse=False)) and self._counts(module)
        )

    def _counts(self, module: nn.Module) -> bool:
        """Whether the module has a number of channels: a PReLU may have one slope for all."""
        return self._graph.get_out_channels(module) is not None

    def _width(self, module: nn.Module, outputs: bool) -> int:
        count = self._graph.get_out_channels if outputs else self._graph.get_in_channels
        return int(count(module))

    def _closure(self, module: nn.Module, channels: Sequence[int]) -> tuple[int, ...]:
        """The output channels of `module` that go with these: more, where halves of it meet again."""
        outputs = [
            item.idxs
            for item in self._dependencies(module, channels)
            if item.dep.target.module is module and self._is_output(item.dep)
        ]
        return tuple(sorted({channel for indices in outputs for channel in indices}))

    def _folds(self, dependency: Any) -> int:
        module = dependency.target.module
        if isinstance(module, nn.modules.conv._ConvNd) and module.groups == module.out_channels:
            return 1  # depthwise: each channel is on its own
        pruner = self._graph.get_pruner_of_module(module)
        if self._is_output(dependency):
            return int(pruner.get_out_channel_groups(module))
        return int(pruner.get_in_channel_groups(module))


class _Passed(torch.autograd.Function):
    """`outputs` as one operation on `inputs`; nothing goes back through it."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, inputs: Tensor) -> Tensor:
        return outputs.clone()


@contextmanager
def _plain_recurrences(model: nn.Module) -> Iterator[None]:
    """Recurrent layers are one operation each for autograd inside, in place of some for each step, which take
    torch-pruning minutes."""

    def plain(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> Any:
        if not isinstance(inputs[0], Tensor):
            return None
        return tree_map(lambda one: _Passed.apply(one.detach(), inputs[0]), outputs)  # type: ignore[no-untyped-call]

    hooks = [module.register_forward_hook(plain) for module in model.modules() if isinstance(module, nn.RNNBase)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def cut(model: nn.Module, inputs: Tensor, units: Sequence[Unit]) -> tuple[nn.Module, list[Output]]:
    """A copy of `model` without the units, and all outputs that left. inputs: an example (B, ...) to trace it with."""
    pruned, gone = copy.deepcopy(model), list[Output]()
    if units:
        graph = Graph(pruned, inputs)
        gone = graph.outputs(units)
        graph.remove(units)
    whole = dict(model.named_parameters(remove_duplicate=False))
    for name, parameter in pruned.named_parameters(remove_duplicate=False):
        parameter.requires_grad_(whole[name].requires_grad)
    return pruned, gone


def said(error: BaseException) -> str:
    """An error's kind and first line, of a GraphError the line alone."""
    if isinstance(error, GraphError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")


def _mixes(module: Any) -> bool:
    """Whether its outputs depend on all channels together, so that none can leave."""
    if isinstance(module, nn.GroupNorm):
        return module.num_groups == 1
    return isinstance(module, nn.LayerNorm | nn.MultiheadAttention | nn.RNNBase)


def _block(item: Any) -> int:
    """How many channels of it a GroupNorm normalises together; 1 for other modules."""
    module = item.dep.target.module
    return module.num_channels // module.num_groups if isinstance(module, nn.GroupNorm) else 1


def _operation(module: Any) -> str:
    """The operation's name, if it is no module of the network: `permute` of an `_ElementWiseOp(PermuteBackward0)`."""
    if not type(module).__module__.startswith("torch_pruning"):
        return ""
    name = getattr(module, "_grad_fn", None) or type(module).__name__.strip("_")
    return re.sub(r"(Op|Backward\d*)$", "", str(name)).lower()


def _widens_each_channel(module: nn.Module) -> bool:
    """Whether each input channel has several outputs of its own, which torch-pruning cannot follow."""
    if not isinstance(module, nn.modules.conv._ConvNd):
        return False
    return 1 < module.groups == module.in_channels != module.out_channels
