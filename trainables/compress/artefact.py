"""Exported models, checked against their cards and loaded by their runtimes."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainables.compress.card import ArtefactError, check_file, read_card

# Its Linux builds report each session to their maker, unless this is set when the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

ONNX, INT8, PT2 = "model.onnx", "model.int8.onnx", "model.pt2"
Call = Callable[[np.ndarray], np.ndarray]
"""Inputs (N, …) float32 to outputs (N, …) float32."""


@dataclass(frozen=True)
class Artefact:
    """A loaded file and what its card says of it."""

    path: Path
    card: dict[str, Any]
    call: Call

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.card["input"]["shape"][1:])


def open_artefact(place: Path) -> Artefact:
    """The model in a folder, or of one of its files; a folder stands for its `model.onnx`. Raises ArtefactError."""
    if not place.exists():
        raise ArtefactError(f"{place} must be a model's folder, or an .onnx or .pt2 file in it, but does not exist")
    path = place / ONNX if place.is_dir() else place
    card = read_card(path.parent)
    check_file(path, card)
    return Artefact(path, card, load(path))


def load(path: Path) -> Call:
    """The model in an .onnx or .pt2 file, to run on one thread. Raises ArtefactError."""
    loader = LOADERS.get(path.suffix)
    if loader is None:
        raise ArtefactError(f"{path} must end in {' or '.join(LOADERS)} to be run, but ends in {path.suffix!r}")
    try:
        return loader(path)
    except ArtefactError:
        raise
    except Exception as error:  # the runtimes have many ways to say that a file is damaged
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArtefactError(f"{path} cannot be loaded: {said}") from error


def _load_onnx(path: Path) -> Call:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def call(inputs: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = session.run(None, {name: inputs})[0]
        return outputs

    return call


def _load_pt2(path: Path) -> Call:
    _check_pt2(path)
    return torch_call(torch.export.load(path).module())


def torch_call(model: Callable[[torch.Tensor], torch.Tensor]) -> Call:
    """A torch model on the CPU as one calls an artefact."""

    def call(inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            outputs: np.ndarray = model(torch.from_numpy(inputs)).float().numpy()
        return outputs

    return call


def _check_pt2(path: Path) -> None:
    """Whether loading it runs no code: torch unpickles whatever objects an archive holds. Raises ArtefactError."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(set(names)) < len(names):
            raise ArtefactError(f"{path} must hold each file once, since torch may read another one than was checked")
        for name in names:
            kind = name.partition("/")[2]
            if kind.startswith("data/sample_inputs/"):
                torch.load(BytesIO(archive.read(name)), weights_only=True)
            elif kind.endswith("_config.json"):
                pickled = [
                    key for key, entry in json.loads(archive.read(name))["config"].items() if entry["use_pickle"]
                ]
                if pickled:
                    raise ArtefactError(f"{path} must hold plain tensors only, but {pickled[0]!r} is a pickled object")
            elif not kind.startswith(_HARMLESS):
                raise ArtefactError(f"{path} must hold a graph and its weights only, but holds {name}")


_HARMLESS = (
    "models/", "data/weights/weight_", "data/constants/tensor_", ".data/", "archive_", "byteorder", "version", "extra/",
)  # fmt: skip
LOADERS: dict[str, Callable[[Path], Call]] = {".onnx": _load_onnx, ".pt2": _load_pt2}
