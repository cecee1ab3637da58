"""Feature hints: a student that also learns what its teacher computes on the way (FitNets, Romero et al. 2015,
arXiv:1412.6550)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from trainables.compress.probe import evaluation, example

Shape = tuple[int, ...]

LEAST = 1e-4
"""Mean square of features that counts as the least."""

INSIDE = "student."
"""What the names of the student's own parameters begin with in a Guided one."""


class HintError(ValueError):
    """Two networks without features that could be compared."""


class Guided(nn.Module):
    """A student that trains together with adapters from its features to the teacher's; it computes the same as alone.

    Compared are, for each size of feature map that both networks have, the last ones of that size; in networks without
    maps, the last hidden features. The adapters, a 1x1 convolution or a linear layer each, are dropped afterwards.
    teacher: a copy of its own, which it listens to from now on. Raises HintError if there is nothing to compare.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, input_shape: Sequence[int]) -> None:
        super().__init__()
        ours, theirs = _features(student, input_shape), _features(teacher, input_shape)
        sizes = [size for size in ours if size in theirs]
        if not sizes:
            raise HintError(
                f"hints need features of one size in both networks: {_sizes(ours)} against {_sizes(theirs)}"
            )
        self.student = student
        self.adapters = nn.ModuleList(_adapter(ours[size][1], theirs[size][1], size) for size in sizes)
        self._ours = _Tap([ours[size][0] for size in sizes])
        self._theirs = _Tap([theirs[size][0] for size in sizes])
        self._theirs.attach(teacher)

    def forward(self, inputs: Tensor) -> Tensor:
        """The student's outputs. It holds no hooks afterwards: whoever exports or copies it gets the bare network."""
        hooks = self._ours.attach(self.student) if self.training else []
        try:
            outputs: Tensor = self.student(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return outputs

    def distance(self) -> Tensor:
        """Relative distance of the features of both last calls, see _distance(); the mean over the pairs. Both must
        have seen the same inputs."""
        pairs = zip(self.adapters, self._ours.take(), self._theirs.take(), strict=True)
        return torch.stack([_distance(adapter(mine), its) for adapter, mine, its in pairs]).mean()


def _distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared distance as a fraction of the teacher's mean square.

    That is bounded from below by LEAST and by a tenth of the student's: of features that are zero or nearly so there is
    nothing to learn, and the gradients would grow without bound.
    """
    unit = torch.maximum(theirs.square().mean(), ours.detach().square().mean() / 10)
    return F.mse_loss(ours, theirs) / unit.clamp_min(LEAST)


class _Tap:
    """Holds what some modules of a network put out last."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._found: dict[str, Tensor] = {}

    def attach(self, model: nn.Module) -> list[RemovableHandle]:
        """Listens to the modules from now on."""
        return [model.get_submodule(name).register_forward_hook(partial(self._hold, name)) for name in self._names]

    def _hold(self, name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._found[name] = output

    def take(self) -> list[Tensor]:
        """The outputs, in the order of the names; they are let go."""
        found, self._found = self._found, {}
        return [found[name] for name in self._names]


def _features(model: nn.Module, input_shape: Sequence[int]) -> dict[Shape, tuple[str, int]]:
    """For each size of feature map, the last module that gives one, and its channels; from the first layer with
    parameters to before the last, which is the head. Features without a place have the size ()."""
    seen = _outputs(model, input_shape)
    weighted = [name for name, _ in seen if list(model.get_submodule(name).parameters(recurse=False))]
    names = [name for name, _ in seen]
    inner = seen[names.index(weighted[0]) : names.index(weighted[-1])] if weighted else []
    last = {shape[2:]: (name, shape[1]) for name, shape in inner if len(shape) in (2, 4)}
    maps = {size: found for size, found in last.items() if size}
    return maps or last


def _outputs(model: nn.Module, input_shape: Sequence[int]) -> list[tuple[str, Shape]]:
    """The modules in the order in which they were done when the model was called, each with its output's shape."""
    seen: dict[str, Shape] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        seen.pop(name, None)
        if isinstance(output, Tensor):
            seen[name] = tuple(output.shape)

    hooks = [module.register_forward_hook(partial(note, name)) for name, module in model.named_modules() if name]
    try:
        with evaluation(model), torch.no_grad():
            model(example(model, input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return list(seen.items())


def _adapter(inputs: int, outputs: int, size: Shape) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1) if size else nn.Linear(inputs, outputs)


def _sizes(features: Mapping[Shape, Any]) -> str:
    return ", ".join("x".join(map(str, size)) or "no maps" for size in features) or "none"
