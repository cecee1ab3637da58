"""What a network costs: the operations of one input, the parameters held, and the time that it really takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.compress.export import export_onnx, trace
from trainables.compress.latency import measure_latency
from trainables.compress.plan import Target
from trainables.compress.probe import evaluation, example

Meter = Callable[[nn.Module], float]
"""What a network costs, as a fraction of what another one does."""

_REPEATS = 100


@dataclass(frozen=True)
class Cost:
    """What one input costs: multiply-accumulates of convolutions and matrix products, and parameters held."""

    macs: int
    parameters: int


def cost(model: nn.Module, input_shape: Sequence[int]) -> Cost:
    """Count the operations of one input of shape (C, H, W) or (F,), and the parameters of `model`."""
    macs = macs_by_module(model, input_shape)[""]
    return Cost(macs, sum(parameter.numel() for parameter in model.parameters()))


def macs_by_module(model: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """The operations inside each module that has any, by its name; those of all are at ""."""
    counter = FlopCounterMode(display=False)
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not know fused transformer layers
    try:
        with evaluation(model), torch.no_grad(), counter:
            model(example(model, input_shape, batch=1))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    counts = {name.partition(".")[2]: sum(ops.values()) // 2 for name, ops in counter.get_flop_counts().items()}
    return counts | {"": counter.get_total_flops() // 2}


@contextmanager
def meter(target: Target, whole: nn.Module, input_shape: Sequence[int]) -> Iterator[Meter]:
    """Measures networks against `whole` inside: the fraction of its operations, parameters or latency.

    Latency is that of one input in ONNX Runtime on one thread, both networks in turn. Calls in eager torch are no
    measure of it, since their overhead does not shrink with the network.
    Raises ExportError where latency is asked of a network that cannot be exported.
    """
    if target == "latency":
        with TemporaryDirectory() as folder:
            export_onnx(trace(whole, input_shape), input_shape, Path(folder, "whole.onnx"))
            yield lambda model: _latency(model, input_shape, Path(folder))
    else:
        field = "macs" if target == "macs" else "parameters"
        base = getattr(cost(whole, input_shape), field)
        yield lambda model: getattr(cost(model, input_shape), field) / base


def _latency(model: nn.Module, input_shape: Sequence[int], folder: Path) -> float:
    export_onnx(trace(model, input_shape), input_shape, folder / "part.onnx")
    paths = [folder / "part.onnx", folder / "whole.onnx"]
    part, whole = measure_latency(paths, input_shape, batches=(1,), repeats=_REPEATS)
    return part.median_ms / whole.median_ms
