"""Structured pruning: whole channels leave the network, so it is smaller and faster on any runtime."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from torch import nn

from trainables.compress.arithmetic import Arithmetic
from trainables.compress.cost import Meter, cost, meter
from trainables.compress.export import ExportError
from trainables.compress.graph import Unit, cut, said
from trainables.compress.probe import example
from trainables.compress.prunable import MAGNITUDE, Candidates, PruneError, Pruning
from trainables.data import Split

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


class PruneWarning(UserWarning):
    """Layers that pruning leaves as wide as they are, and why."""


@dataclass(frozen=True)
class Pruned:
    """A pruned network. kept: the layers that could not be pruned exactly, each line with its reason."""

    model: nn.Module
    kept: tuple[str, ...] = ()


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
    The blocks are as wide as possible, see WIDTHS, while `keep` is met to within TOLERANCE. `examples` are of the
    training part: Taylor importance needs them. Whatever the target, there are fewer operations afterwards.

    The outputs are those of `model` with the same channels silenced, see exact.py, which is checked each time, on
    examples where there are any. Layers for which that does not hold are left as they are; a PruneWarning names them.
    Raises PruneError if the network cannot be traced, nothing can be pruned or the target is out of reach.
    """
    pruned = prune_exactly(model, input_shape, keep, how, examples, whole)
    for line in pruned.kept:
        warnings.warn(line, PruneWarning, stacklevel=2)
    return pruned.model


def prune_exactly(
    model: nn.Module,
    input_shape: Sequence[int],
    keep: float,
    how: Pruning = MAGNITUDE,
    examples: Split | None = None,
    whole: nn.Module | None = None,
) -> Pruned:
    """As prune(), without warnings: the layers that are left as they are stand beside the network."""
    if not 0 < keep < 1:
        raise PruneError(f"`0 < keep < 1` must hold, but got keep={keep}")
    candidates = Candidates.of(model, input_shape, how, examples)
    try:
        with meter(how.target, whole or model, input_shape) as share:
            removed = _exactly_removed(model, input_shape, candidates, _Aim(keep, how, whole or model, share))
        pruned, _ = cut(model, example(model, input_shape), removed)
        if cost(pruned, input_shape).macs >= cost(model, input_shape).macs:
            raise PruneError("nothing was pruned: the network has as many operations as before")
    except PruneError as error:
        raise PruneError("; ".join((str(error), *candidates.kept))) from error
    except ExportError as error:
        raise PruneError(f"latency cannot be measured: the network {error}") from error
    return Pruned(pruned, candidates.kept)


@dataclass(frozen=True)
class _Aim:
    """What to reach, and how it is measured."""

    keep: float
    how: Pruning
    whole: nn.Module
    share: Meter


class _Unfit(Exception):
    """A network that does not run without those units."""

    def __init__(self, units: tuple[Unit, ...]) -> None:
        super().__init__()
        self.units = units


def _exactly_removed(
    model: nn.Module, input_shape: Sequence[int], candidates: Candidates, aim: _Aim
) -> tuple[Unit, ...]:
    """The units to remove, without which the network was found to compute what it does with them silenced."""
    while candidates.units:
        try:
            removed = _removed(model, input_shape, candidates.units, aim)
        except _Unfit as error:
            if candidates.check(error.units):
                raise PruneError(f"the network cannot be measured: {said(error.__cause__ or error)}") from error
        else:
            if candidates.check(removed):
                return removed
    raise PruneError("nothing can be pruned: every layer's width is fixed by the input, the output or `keep`")


def _removed(
    model: nn.Module, input_shape: Sequence[int], units: Sequence[Sequence[Unit]], aim: _Aim
) -> tuple[Unit, ...]:
    """The units to remove. Arithmetic finds them at once where it is right, which is looked at; else each attempt is
    measured."""

    @cache
    def measured(removed: tuple[Unit, ...]) -> float:
        try:
            return aim.share(cut(model, example(model, input_shape), removed)[0])
        except ExportError:
            raise
        except Exception as error:  # the network's own code does not like some widths
            raise _Unfit(removed) from error

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
