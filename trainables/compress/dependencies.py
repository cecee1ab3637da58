"""Dependencies of channels in torch-pruning's graph, followed within bounds: the library itself may never end where
channels meet themselves again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch_pruning import _helpers
from torch_pruning.dependency import index_mapping
from torch_pruning.dependency.dependency import Dependency
from torch_pruning.dependency.group import Group
from torch_pruning.pruner.function import GroupNormPruner

_STEPS = 100
"""Visits of each edge, at most."""
_CHANNELS = 4
"""Channels at one place, at most, as multiples of those of the widest layer."""


class GraphError(ValueError):
    """Channels that cannot be followed through a network."""


class WholeGroups(GroupNormPruner):  # type: ignore[misc]
    """Takes whole groups out of a GroupNorm: what it makes of the others depends on them alone."""

    def prune_out_channels(self, layer: nn.GroupNorm, idxs: Sequence[int]) -> nn.GroupNorm:
        """The layer without those channels, which must be all of their groups. Raises GraphError."""
        each = layer.num_channels // layer.num_groups
        gone = {index // each for index in idxs}
        if len(gone) * each != len(set(idxs)):
            raise GraphError("a GroupNorm would lose a part of a group")
        super().prune_out_channels(layer, idxs)
        layer.num_groups -= len(gone)
        return layer

    prune_in_channels = prune_out_channels

    def get_out_channel_groups(self, layer: nn.GroupNorm) -> int:
        return 1

    get_in_channel_groups = get_out_channel_groups


def is_output(graph: Any, dependency: Any) -> bool:
    """Whether it concerns outputs of its target, which may be its inputs as well."""
    return bool(graph.is_out_channel_pruning_fn(dependency.handler))


def follow(graph: Any, module: nn.Module, channels: Sequence[int]) -> Group:
    """All that depends on output `channels` of `module`, as DependencyGraph.get_pruning_group() finds it.

    Raises GraphError where their number has no end or an index lies outside a layer.
    """
    index_mapping.update_index_mapping(graph)
    node, handler = graph.module2node[module], graph.get_pruner_of_module(module).prune_out_channels
    found, visited = Group(), set[Any]()
    most, left = _widest(graph), _STEPS * sum(len(one.dependencies) for one in graph.module2node.values())
    stack = [(Dependency(handler, handler, source=node, target=node), [_helpers._HybridIndex(i, i) for i in channels])]
    found.add_dep(*stack[0])
    while stack:
        done, indices = stack.pop()
        visited.add(done.target)
        for following in done.target.dependencies:
            left -= 1
            if not following.is_triggered_by(done.handler) or not (mapped := _mapped(graph, following, indices, most)):
                continue
            if left < 0:
                raise GraphError("they multiply without end")
            if not (following.target in visited and found.has_pruning_op(following, mapped)):
                found.add_dep(following, mapped)
                stack.append((following, mapped))
    return _merged(graph, found)


def _widest(graph: Any) -> int:
    """The most inputs or outputs that a layer has."""
    counts = [graph.get_in_channels(node) for node in graph.module2node.values()]
    counts += [graph.get_out_channels(node) for node in graph.module2node.values()]
    return max(int(count) for count in counts if count)


def _mapped(graph: Any, dependency: Any, indices: Sequence[Any], most: int) -> list[Any]:
    """The indices at the dependency's target."""
    mapped = list(indices)
    for mapping in dependency.index_mapping:
        mapped = mapping(mapped) if mapping is not None else mapped
    count = graph.get_out_channels if is_output(graph, dependency) else graph.get_in_channels
    size = count(dependency.target) or _CHANNELS * most
    if len(mapped) > _CHANNELS * most or any(not 0 <= one.idx < size for one in mapped):
        raise GraphError(f"some lie outside {dependency.target.name.partition(' ')[0]}")
    return mapped


def _merged(graph: Any, found: Group) -> Group:
    """One item for each target and kind of dependency, with plain indices and those of the first layer."""
    merged = Group()
    for dependency, indices in found.items:
        merged.add_and_merge(dependency, indices)
    merged._DG = graph
    for place, (dependency, indices) in enumerate(merged.items):
        merged[place] = _helpers.GroupItem(dependency, _helpers.to_plain_idxs(indices))
        merged[place].root_idxs = _helpers.to_root_idxs(indices)
    return merged
