"""A model as files that need none of its code: ONNX, torch.export's `.pt2`, and its weights alone."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors.torch
import torch
from torch import nn
from torch.export import ExportedProgram

from trainables.compress.card import INPUT, OUTPUT
from trainables.storage import write_bytes


class ExportError(RuntimeError):
    """A model that the exporter cannot follow."""


def trace(model: nn.Module, input_shape: Sequence[int]) -> ExportedProgram:
    """What a copy of `model` on the CPU computes in evaluation mode, for inputs (N, *input_shape) float32 of any N.

    Raises ExportError.
    """
    model = copy.deepcopy(model).cpu().eval()
    # Two examples: of one, torch would conclude that there is always one.
    example = (torch.zeros(2, *input_shape),)
    with quiet():
        try:
            program = torch.export.export(model, example, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        except Exception as error:  # whatever the exporter, or the model's own code under it, trips over
            raise ExportError(f"cannot be exported: {_first_line(error)}") from error
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)  # holds the paths of this machine
    return program


def export_onnx(model: nn.Module | ExportedProgram, input_shape: Sequence[int], path: Path) -> None:
    """Write `model` as one ONNX file: inputs (N, *input_shape) float32, images in [0, 1], any N, to outputs (N, …).

    Raises ExportError; what was at `path` before stays then.
    """
    program = trace(model, input_shape) if isinstance(model, nn.Module) else model
    with quiet(), TemporaryDirectory() as scratch:
        try:
            exported = torch.onnx.export(
                program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"cannot be exported: {_first_line(error.__cause__ or error)}") from error
        if exported is None:  # only the old exporter answers so
            raise ExportError("cannot be exported: the exporter returned no program")
        _strip(exported.model)
        whole = Path(scratch, "model.onnx")
        exported.save(whole, external_data=False)
        write_bytes(path, whole.read_bytes())


def export_pt2(model: nn.Module | ExportedProgram, input_shape: Sequence[int], path: Path) -> None:
    """Write `model` as torch.export does, to be run by torch without its code. Raises ExportError, as export_onnx."""
    program = trace(model, input_shape) if isinstance(model, nn.Module) else model
    buffer = BytesIO()
    with quiet():
        try:
            torch.export.save(program, buffer)
        except Exception as error:  # the serializer has no error of its own for what it does not know
            raise ExportError(f"cannot be exported to .pt2: {_first_line(error)}") from error
    write_bytes(path, buffer.getbuffer())


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the parameters and buffers of `model` as safetensors."""
    tensors = {name: value.cpu().clone().contiguous() for name, value in model.state_dict().items()}
    write_bytes(path, safetensors.torch.save(tensors))


def _strip(model: Any) -> None:
    """Drop the exporter's notes: they hold stack traces with the paths of this machine."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter: what it prints, logs and warns of is about its own insides."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
