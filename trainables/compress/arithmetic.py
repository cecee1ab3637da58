"""How much of a network's cost is left without some of its channels, without taking them out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from torch import nn

from trainables.compress.cost import cost, macs_by_module
from trainables.compress.graph import Unit


class Arithmetic:
    """The cost left as a fraction of that of `whole`, of which `model` may be a pruned copy.

    Each layer's operations, and the entries of its matrix or kernel, fall with its inputs times its outputs; its other
    parameters fall with its outputs. Operations outside layers count as fixed. That is exact for convolutions, linear
    layers and norms; for anything else it is a guess, to be checked on the pruned network.
    """

    def __init__(self, model: nn.Module, whole: nn.Module, input_shape: Sequence[int], target: str) -> None:
        base = cost(whole, input_shape)
        self._base = base.macs if target == "macs" else base.parameters
        parts = _operations(model, input_shape) if target == "macs" else _parameters(model)
        self._by_both, self._by_outputs, self._total = parts

    def __call__(self, removed: Iterable[Unit]) -> float:
        gone: dict[tuple[str, bool], float] = defaultdict(float)
        for unit in removed:
            for name, by_outputs, fraction in unit.footprint:
                gone[name, by_outputs] += fraction * len(unit.channels)
        saved = 0.0
        for name in {name for name, _ in gone}:
            outputs, inputs = 1 - gone[name, True], 1 - gone[name, False]
            saved += self._by_both.get(name, 0) * (1 - outputs * inputs) + self._by_outputs.get(name, 0) * (1 - outputs)
        return (self._total - saved) / self._base


Parts = tuple[dict[str, int], dict[str, int], int]
"""What of each layer falls with inputs times outputs, what with outputs, and the sum of everything."""


def _operations(model: nn.Module, input_shape: Sequence[int]) -> Parts:
    counts = macs_by_module(model, input_shape)
    leaves = {name for name, module in model.named_modules() if not any(True for _ in module.children())}
    return {name: count for name, count in counts.items() if name in leaves}, {}, counts[""]


def _parameters(model: nn.Module) -> Parts:
    both, outputs = {}, {}
    for name, module in model.named_modules():
        sizes = [(parameter.ndim, parameter.numel()) for parameter in module.parameters(recurse=False)]
        both[name] = sum(size for ndim, size in sizes if ndim >= 2)
        outputs[name] = sum(size for ndim, size in sizes if ndim < 2)
    return both, outputs, sum(parameter.numel() for parameter in model.parameters())
