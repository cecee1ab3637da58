"""Whether a pruned network computes what the whole one does with the same channels silenced.

A channel is silenced when weights and bias are zero in the layer that makes it, in those whose outputs are added to it
or multiplied by it, and in the norms on its way. To take it out is the same only if nothing makes another value of that
zero before a layer takes it in, as a sigmoid, a constant that is added, or a norm or softmax over channels does, and if
just the inputs that come from it leave that layer.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.compress.dependencies import GraphError
from trainables.compress.graph import Output, Unit, cut, said
from trainables.compress.probe import device_of, evaluation
from trainables.compress.widths import load_pruned, widths_of
from trainables.data import Split, as_floats

TOLERANCE = 1e-5
"""Difference of outputs that counts as rounding, relative to how far they are from their mean."""
_BATCH = 8

Removals = Sequence[Sequence[Unit]]
"""Units to take out, by the group of layers that they belong to."""


class Exactness:
    """Compares pruned copies of `model` with silenced ones, on examples where there are any, else on random inputs.

    That is done twice: with the model's own weights, and with a little noise on them, since weights that are zero, as
    those of a head that has not been trained, show nothing. Raises whatever the network's own code does, and ValueError
    where its outputs are not finite.
    """

    def __init__(self, model: nn.Module, input_shape: Sequence[int], examples: Split | None = None) -> None:
        if examples is not None and len(examples):
            inputs = as_floats(examples.inputs[:_BATCH])
        else:
            inputs = torch.rand(_BATCH, *input_shape, generator=torch.Generator().manual_seed(0))
        inputs = inputs.to(device_of(model))
        subjects = [_Subject.of(model, inputs)]
        with suppress(Exception):  # its code may not like noise
            subjects.append(_Subject.of(_noisy(model), inputs))
        self._subjects = [subject for subject in subjects if subject.outputs.isfinite().all()]
        if not self._subjects:
            raise ValueError("its outputs are not finite")

    def faults(self, removals: Removals) -> dict[str, str]:
        """Why some of the groups cannot be pruned like that, by their roots; all others together can."""
        return dict(self._sought(list(removals), []))

    def _sought(self, removals: list[Sequence[Unit]], fine: list[Sequence[Unit]]) -> Iterator[tuple[str, str]]:
        """The faults, sought in halves. Those that are exact beside the ones before them are added to `fine`."""
        if not removals:
            return
        fault = self._fault([unit for units in (*fine, *removals) for unit in units])
        if not fault:
            fine += removals
        elif len(removals) == 1:
            yield removals[0][0].root, fault
        else:
            half = len(removals) // 2
            yield from self._sought(removals[:half], fine)
            yield from self._sought(removals[half:], fine)

    def _fault(self, units: Sequence[Unit]) -> str:
        return next(filter(None, (subject.fault(units) for subject in self._subjects)), "")


@dataclass(frozen=True)
class _Subject:
    """A network, inputs (B, ...) with its outputs, and whether it runs in training mode."""

    model: nn.Module
    inputs: Tensor
    outputs: Tensor
    trains: bool

    @classmethod
    def of(cls, model: nn.Module, inputs: Tensor) -> _Subject:
        """In double precision, where the network's code allows that."""
        try:
            model, inputs = copy.deepcopy(model).double(), inputs.double()
            outputs = _outputs(model, inputs)
        except Exception:  # it makes tensors of a certain precision
            model, inputs = copy.deepcopy(model).float(), inputs.float()
            outputs = _outputs(model, inputs)
        return cls(model, inputs, outputs, not _trouble(copy.deepcopy(model), inputs))

    def fault(self, units: Sequence[Unit]) -> str:
        """Why the units cannot be taken out exactly, or ""."""
        try:
            pruned, gone = cut(self.model, torch.zeros_like(self.inputs[:2]), units)
            expected = _outputs(silenced(self.model, gone), self.inputs)
            widths = json.loads(json.dumps(widths_of(pruned, self.model)))
            again = load_pruned(self.model, widths, pruned.state_dict())
            found = [_outputs(one, self.inputs) for one in (pruned, again)]
        except Exception as error:  # the network's own code, or the graph's
            return f"the network does not run without some of their channels: {said(error)}"
        if _shared(pruned) != _shared(self.model):
            return "weights are shared with other layers"
        if self.trains and (trouble := _trouble(again, self.inputs)):
            return f"the network does not train without some of their channels: {trouble}"
        return self._difference(found, expected)

    def _difference(self, found: Sequence[Tensor], expected: Tensor) -> str:
        if any(one.shape != expected.shape for one in found):
            return "without some of their channels the outputs have another shape"
        error = max(float((one - expected).abs().max()) for one in found)
        scale = float((self.outputs - self.outputs.mean()).abs().max())
        rounding = 16 * torch.finfo(expected.dtype).eps * float(self.outputs.abs().max())
        if error <= TOLERANCE * scale + rounding:
            return ""
        return f"without some of their channels the outputs are not those with them silenced (off by {error:.2g})"


def silenced(model: nn.Module, outputs: Sequence[Output]) -> nn.Module:
    """A copy of the model in which those outputs of its layers and norms are zero.

    Raises GraphError for a module of another kind.
    """
    model = copy.deepcopy(model)
    modules = dict(model.named_modules())
    for output in outputs:
        module = modules[output.name]
        if not isinstance(module, _SILENT):
            raise GraphError(f"a {type(module).__name__} cannot be silenced")
        channels = torch.tensor(output.channels, device=device_of(model))
        second = isinstance(module, nn.Embedding) or (getattr(module, "transposed", False) and module.groups == 1)
        for name, parameter in module.named_parameters(recurse=False):
            if not isinstance(module, nn.PReLU):  # which makes zero of zero
                parameter.data.index_fill_(int(second and name == "weight"), channels, 0)
    return model


_SILENT = (
    nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.PReLU, nn.Embedding, nn.Linear, nn.modules.conv._ConvNd,
)  # fmt: skip


def _noisy(model: nn.Module) -> nn.Module:
    """A copy with a little noise on all weights and statistics, so that none is zero or equal to another."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            if isinstance(tensor, nn.Parameter) or name.endswith("running_mean"):
                finite = tensor.nan_to_num(0, 0, 0)
                size = float(finite.square().mean().sqrt()) or 1.0
                tensor.copy_(finite).add_(torch.randn(tensor.shape, generator=generator).to(tensor), alpha=0.1 * size)
            else:
                tensor.nan_to_num_(1, torch.inf, -torch.inf)
    return model


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    with evaluation(model), torch.no_grad(), torch.random.fork_rng(devices):
        torch.manual_seed(0)
        outputs: Tensor = model(inputs)
    return outputs


def _trouble(model: nn.Module, inputs: Tensor) -> str:
    """What goes wrong in training mode; the model's statistics change."""
    try:
        with torch.no_grad(), torch.random.fork_rng([inputs.device] if inputs.device.type == "cuda" else []):
            model.train()(inputs)
    except Exception as error:  # the network's own code
        return said(error)
    return ""


def _shared(model: nn.Module) -> set[tuple[str, ...]]:
    """The names under which each tensor is known."""
    names: dict[int, list[str]] = defaultdict(list)
    for name, tensor in model.state_dict(keep_vars=True).items():
        names[id(tensor)].append(name)
    return {tuple(known) for known in names.values()}
