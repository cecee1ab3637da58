"""How long the models of one seed take, all in turn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from trainables.compress import Timed, load, measure_calls, torch_call

EAGER, DENSE, DENSE_INT8, OURS, INT8, PEER = (
    "parent in eager torch",
    "parent in ONNX Runtime",
    "parent in int8",
    "ours in ONNX Runtime",
    "ours in int8",
    "torch-pruning in ONNX Runtime",
)
Times = dict[tuple[str, int], float]
"""Milliseconds a call by name and batch size: the median."""


def times(parent: nn.Module, files: Mapping[str, Path], input_shape: tuple[int, ...], repeats: int) -> Times:
    """Of the parent in eager torch and of the files, one thread."""
    models = {EAGER: torch_call(parent.eval()), **{name: load(path) for name, path in files.items()}}
    rows = measure_calls([Timed(name, call, input_shape) for name, call in models.items()], repeats=repeats)
    return {(row.path, row.batch): row.median_ms for row in rows}
