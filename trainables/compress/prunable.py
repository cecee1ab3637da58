"""Groups of layers that can be pruned exactly, what leaves them first, and why other layers stay as they are."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from torch import nn

from trainables.compress.exact import Exactness
from trainables.compress.graph import Graph, Group, Unit, said
from trainables.compress.importance import ImportanceError, Scorer, scorer
from trainables.compress.plan import Importance, Scope, StudentConfig, Target
from trainables.compress.probe import example
from trainables.data import Split
from trainables.errors import StudentError


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


class Candidates:
    """The units of each group of layers that can be pruned exactly, least important first; and why others cannot."""

    def __init__(self, exact: Exactness) -> None:
        self.units: list[list[Unit]] = []
        self._exact = exact
        self._groups: dict[str, Group] = {}
        self._reasons: dict[str, list[str]] = defaultdict(list)

    @classmethod
    def of(cls, model: nn.Module, input_shape: Sequence[int], how: Pruning, examples: Split | None) -> Candidates:
        """Those of which every second unit can leave. Raises PruneError, and whatever the network's own code does."""
        traced = copy.deepcopy(model)
        try:
            graph, candidates = Graph(traced, example(model, input_shape)), cls(Exactness(model, input_shape, examples))
        except Exception as error:  # the network's own code, or the graph's
            raise PruneError(f"the network cannot be traced: {said(error)}") from error
        found = list(graph.groups(kept_layers(model, how.keep)))
        try:
            score = scorer(how.importance, traced, examples)
        except ImportanceError as error:
            raise PruneError(str(error)) from error
        for group in found:
            candidates._add(graph, group, score)
        candidates.check(unit for units in candidates.units for unit in units[::2])
        return candidates

    @property
    def kept(self) -> tuple[str, ...]:
        """The layers that are left as wide as they are, a line for each reason."""
        return tuple(f"as wide as before: {', '.join(names)}: {why}" for why, names in self._reasons.items())

    def check(self, removed: Iterable[Unit]) -> bool:
        """Whether all groups can lose those units exactly; those that cannot are candidates no longer."""
        units: dict[str, list[Unit]] = defaultdict(list)
        for unit in removed:
            units[unit.root].append(unit)
        faults = self._exact.faults(list(units.values()))
        self.units = [units for units in self.units if units[0].root not in faults]
        for root, reason in faults.items():
            group = self._groups[root]
            passed = f"; on their way: {', '.join(group.operations)}" if group.operations else ""
            self._reasons[reason + passed] += group.layers
        return not faults

    def _add(self, graph: Graph, group: Group, score: Scorer) -> None:
        units, reason = [], group.hindrance
        try:
            units = [] if reason else sorted(graph.units(group, score), key=lambda unit: unit.score)
        except Exception as error:  # the graph, or the importance, stumbles over indices that do not fit
            reason = f"channels cannot be told apart: {said(error)}"
        if reason:
            self._reasons[reason] += group.layers
        elif len(units) > 1:
            self._groups[units[0].root] = group
            self.units.append(units)
