"""Structured pruning: whole channels leave the network, so it is smaller and faster on any runtime."""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from itertools import pairwise

import torch
from torch import nn

from trainables.compress.arithmetic import Arithmetic
from trainables.compress.cost import Meter, cost, meter
from trainables.compress.export import ExportError
from trainables.compress.graph import Graph, Unit
from trainables.compress.importance import ImportanceError, scorer
from trainables.compress.plan import Importance, Scope, StudentConfig, Target
from trainables.compress.probe import evaluation, example
from trainables.data import Split
from trainables.errors import StudentError

MIN_CHANNELS = 0.1
"""Fraction of a layer's channels that always stays: a layer cut to almost nothing cannot be trained back."""

WIDTHS = (8, 4, 1)
"""Channels that leave together, so that the widths left are multiples of it, best first.

Runtimes compute in blocks of 8 or 4 channels, so that other widths save no time or cost some.
"""

TOLERANCE = 0.05
"""How far below the target, as a fraction of the parent's cost, a pruned model may stay for wide blocks."""

Left = Callable[[tuple[Unit, ...]], float]
"""The fraction of the cost that is left without the units."""

_NAMES = {"macs": "operations", "parameters": "parameters", "latency": "latency"}


class PruneError(StudentError):
    """The network cannot be pruned as asked; the message says how far it could go."""


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """How to prune; see StudentConfig."""

    target: Target = "macs"
    importance: Importance = "magnitude"
    scope: Scope = "global"
    keep: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: StudentConfig) -> Pruning:
        """What a student's settings say of it."""
        return cls(target=config.target, importance=config.importance, scope=config.scope, keep=config.keep)


MAGNITUDE = Pruning()


def prune(
    model: nn.Module,
    input_shape: Sequence[int],
    keep: float,
    how: Pruning = MAGNITUDE,
    examples: Split | None = None,
    whole: nn.Module | None = None,
) -> nn.Module:
    """Return a copy of `model` with at most the fraction `keep` of the cost of `whole`, which is `model` if not given.

    Blocks of channels leave one by one, least important first, until the target is met; the shape of the output stays.
    The blocks are as wide as possible, see WIDTHS, while `keep` is met to within TOLERANCE. `examples`, for Taylor
    importance, are of the training part. Whatever the target, there are fewer operations afterwards.

    Raises PruneError if the network cannot be traced, nothing can be pruned or the target is out of reach.
    """
    if not 0 < keep < 1:
        raise PruneError(f"`0 < keep < 1` must hold, but got keep={keep}")
    whole = whole or model
    units = _units(model, input_shape, how, examples)
    try:
        with meter(how.target, whole, input_shape) as share:
            removed = _removed(model, input_shape, units, _Aim(keep, how, whole, share))
    except ExportError as error:
        raise PruneError(f"latency cannot be measured: the network {error}") from error
    pruned = _without(model, input_shape, removed)
    if cost(pruned, input_shape).macs >= cost(model, input_shape).macs:
        raise PruneError("nothing was pruned: the network has as many operations as before")
    return pruned


def kept_layers(model: nn.Module, names: Iterable[str]) -> set[str]:
    """The modules that may not shrink, with all that is inside them. A name may leave out the `network.` before it."""
    modules, kept = [name for name, _ in model.named_modules() if name], set()
    for name in names:
        inside = {one for one in modules if f"{one}.".startswith((f"{name}.", f"network.{name}."))}
        if not inside:
            near = get_close_matches(name, [*modules, *(one.removeprefix("network.") for one in modules)], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PruneError(f"keep: must name layers of the network, but it has no {name!r}{hint}")
        kept |= inside
    return kept


@dataclass(frozen=True)
class _Aim:
    """What to reach, and how it is measured."""

    keep: float
    how: Pruning
    whole: nn.Module
    share: Meter


def _removed(
    model: nn.Module, input_shape: Sequence[int], units: Sequence[Sequence[Unit]], aim: _Aim
) -> tuple[Unit, ...]:
    """The units to remove. Arithmetic finds them at once where it is right, which is looked at; else each attempt is
    measured."""

    @cache
    def measured(removed: tuple[Unit, ...]) -> float:
        return aim.share(_without(model, input_shape, removed))

    if aim.how.target != "latency":
        removed = _chosen(units, aim, Arithmetic(model, aim.whole, input_shape, aim.how.target))
        if removed is not None and measured(removed) <= aim.keep:
            return removed
    removed = _chosen(units, aim, measured)
    if removed is None:
        floor = measured(tuple(_blocks(units, WIDTHS[-1], aim)))
        name = _NAMES[aim.how.target]
        raise PruneError(f"cannot keep {aim.keep:.3g} of the {name}: the least possible is {floor:.3g}")
    return removed


def _chosen(units: Sequence[Sequence[Unit]], aim: _Aim, left: Left) -> tuple[Unit, ...] | None:
    """What to remove, in the widest blocks that come near the target; None if it is out of reach."""
    timed = aim.how.target == "latency"
    for width in WIDTHS:
        order = _blocks(units, width, aim)
        if left(tuple(order)) > aim.keep:
            continue
        removed = _fewest(order, aim.keep, left)
        if timed:  # narrower blocks gain no time, and what a single block gains cannot be told from noise
            return removed
        removed = _given_back(removed, aim.keep, left)
        if left(removed) >= aim.keep - TOLERANCE or width == WIDTHS[-1]:
            return removed
    return None


def _fewest(order: Sequence[Unit], keep: float, left: Left) -> tuple[Unit, ...]:
    """The fewest blocks from the start of `order` without which at most `keep` is left."""
    return tuple(order[: bisect_left(range(len(order)), -keep, key=lambda count: -left(tuple(order[:count])))])


def _given_back(removed: tuple[Unit, ...], keep: float, left: Left) -> tuple[Unit, ...]:
    """Without the blocks that the target does not need, most important first; of each layer those that left last."""
    done: set[str] = set()
    for block in reversed(removed):
        fewer = tuple(other for other in removed if other is not block)
        if block.root in done:
            continue
        if left(fewer) <= keep:
            removed = fewer
        else:
            done.add(block.root)
    return removed


def _units(model: nn.Module, input_shape: Sequence[int], how: Pruning, examples: Split | None) -> list[list[Unit]]:
    """The units of each group of layers that can be pruned at all, least important first."""
    traced = copy.deepcopy(model)
    try:
        graph = Graph(traced, input_shape)
    except Exception as error:  # whatever the network's own code or the graph's trips over
        raise PruneError(f"the network cannot be traced: {type(error).__name__}: {error}") from error
    found = list(graph.groups(kept_layers(model, how.keep)))
    try:
        score = scorer(how.importance, traced, examples)
    except ImportanceError as error:
        raise PruneError(str(error)) from error
    groups = [sorted(graph.units(group, score), key=lambda unit: unit.score) for group in found]
    prunable = _prunable(model, input_shape, [units for units in groups if len(units) > 1])
    if not prunable:
        raise PruneError("nothing can be pruned: every layer's width is fixed by the input, the output or `keep`")
    return prunable


def _prunable(model: nn.Module, input_shape: Sequence[int], groups: list[list[Unit]]) -> list[list[Unit]]:
    """The groups without those that spoil the output, which are sought in halves."""
    if _works(model, input_shape, [units[0] for units in groups]):
        return groups
    if len(groups) <= 1:
        return []
    half = len(groups) // 2
    return [*_prunable(model, input_shape, groups[:half]), *_prunable(model, input_shape, groups[half:])]


def _blocks(groups: Sequence[Sequence[Unit]], width: int, aim: _Aim) -> list[Unit]:
    """The units joined so that multiples of `width` channels stay; of all groups, the first to go first."""
    blocks = []
    for units in groups:
        channels = len(units[0].channels)
        step = math.lcm(width, channels) // channels
        least = max(1, math.ceil(MIN_CHANNELS * _outputs(aim.whole, units[0].root) / channels))
        ends = [end for end in range(1, len(units) - least + 1) if (len(units) - end) % step == 0]
        joined = [_joined(units[start:end]) for start, end in pairwise([0, *ends])]
        if aim.how.scope == "local":  # all layers have then lost the same share at any time
            joined = [replace(block, score=end / len(units)) for block, end in zip(joined, ends, strict=True)]
        blocks += joined
    return sorted(blocks, key=lambda block: block.score)


def _joined(units: Sequence[Unit]) -> Unit:
    channels = tuple(channel for unit in units for channel in unit.channels)
    return replace(units[0], score=sum(unit.score for unit in units) / len(units), channels=channels)


def _outputs(model: nn.Module, layer: str) -> int:
    module = model.get_submodule(layer)
    return int(module.out_features if isinstance(module, nn.Linear) else module.out_channels)  # type: ignore[arg-type]


def _works(model: nn.Module, input_shape: Sequence[int], units: Sequence[Unit]) -> bool:
    """Whether the output's shape survives the removal: false for output layers and for widths fixed in code."""
    with evaluation(model), torch.no_grad():
        shape = model(example(model, input_shape)).shape
    try:
        pruned = _without(model, input_shape, units)
        with evaluation(pruned), torch.no_grad():
            return bool(pruned(example(model, input_shape)).shape == shape)
    except Exception:  # whatever the network's own code or the graph's trips over, these layers stay
        return False


def _without(model: nn.Module, input_shape: Sequence[int], units: Sequence[Unit]) -> nn.Module:
    """A copy of `model` without the units."""
    pruned = copy.deepcopy(model)
    if units:
        Graph(pruned, input_shape).remove(units)
    for (_, old), (_, new) in zip(model.named_parameters(), pruned.named_parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    return pruned
