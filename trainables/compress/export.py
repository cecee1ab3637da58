"""What is left on disk of a model: `model.onnx`, `weights.safetensors` and `card.json`, each whole or not there."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import platform
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

INPUT, OUTPUT = "images", "logits"
PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript", "torch-pruning", "safetensors")


class ExportError(RuntimeError):
    """A model that the exporter cannot follow."""


def export_onnx(model: nn.Module, input_shape: Sequence[int], path: Path) -> None:
    """Write `model` as one ONNX file: images (N, C, H, W) float32 in [0, 1], any N, to logits (N, classes).

    Raises ExportError; what was at `path` before stays then.
    """
    model = copy.deepcopy(model).cpu().eval()
    example = torch.zeros(2, *input_shape)
    with _replacing(path) as temporary, _quiet():
        try:
            program = torch.onnx.export(
                model,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"cannot be exported: {error.__cause__ or error}".splitlines()[0]) from error
        if program is None:  # only the old exporter answers so
            raise ExportError("cannot be exported: the exporter returned no program")
        _strip(program.model)
        program.save(temporary, external_data=False)


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the parameters and buffers of `model` as safetensors."""
    tensors = {name: value.cpu().clone().contiguous() for name, value in model.state_dict().items()}
    with _replacing(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors))


def write_card(path: Path, facts: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Write `facts` with the versions of the libraries and the SHA-256 and size of `files`, as JSON."""
    card = {
        **facts,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "files": {file.name: {"sha256": _sha256(file), "bytes": file.stat().st_size} for file in files},
    }
    with _replacing(path) as temporary:
        temporary.write_text(json.dumps(card, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _strip(model: Any) -> None:
    """Drop the exporter's notes: they hold stack traces with the paths of this machine."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well and is gone when not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter: what it prints, logs and warns of is about its own insides."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
