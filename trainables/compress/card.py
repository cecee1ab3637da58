"""The card beside a model's files: all that one must know to feed the model and to trust it, as JSON."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainables.data import Dataset
from trainables.storage import write_bytes

NAME = "card.json"
VERSION = 1
PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript", "torch-pruning", "safetensors")
OUTPUT = "outputs"
"""What every artefact calls its outputs: logits (N, classes) or values (N, 1)."""
INPUT = "inputs"


class ArtefactError(ValueError):
    """A model's file or card that is missing, damaged or of another version; the message begins with its path."""


def interface(data: Dataset, fit: str) -> dict[str, Any]:
    """What goes into a model of such data and what comes out, as the card says it.

    fit: how an image file of other sides than the model's becomes one of them, see `DataConfig`.
    """
    return {
        "input": {"name": INPUT, "shape": ["batch", *data.input_shape], "type": "float32", **_meaning(data, fit)},
        "output": {"name": OUTPUT, "task": data.task, "classes": list(data.classes)},
        "normalisation": {
            "where": "in the graph: feed inputs as they are",
            "mean": data.mean.tolist(),
            "std": data.std.tolist(),
        },
    }


def _meaning(data: Dataset, fit: str) -> dict[str, Any]:
    """Of the numbers that go in, and how to get them from an image file or the rows of a table."""
    if len(data.input_shape) != 3:
        columns = [asdict(column) for column in data.columns]
        return {"kind": "features", "columns": columns, **({"dialect": asdict(data.dialect)} if columns else {})}
    channels, height, width = data.input_shape
    facts: dict[str, Any] = {"kind": "images", "range": [0, 1]}
    if mode := {1: "L", 3: "RGB"}.get(channels):
        sides = {"height": height, "width": width, "fit": fit, "resample": "bicubic"}
        facts["image"] = {"mode": mode, **sides, "orientation": "EXIF's", "transparent": "white"}
    return facts


def write_card(path: Path, facts: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Write `facts` with the versions of the libraries and the SHA-256 and size of `files`, as JSON."""
    card = {
        "version": VERSION,
        **facts,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "files": {file.name: {"sha256": _sha256(file), "bytes": file.stat().st_size} for file in files},
    }
    write_bytes(path, (json.dumps(card, indent=2, allow_nan=False) + "\n").encode())


def in_json(setting: Any) -> Any:
    """The setting with text for what JSON lacks: infinities, NaN, dates, and keys that are numbers."""
    if isinstance(setting, Mapping):
        return {str(key): in_json(part) for key, part in setting.items()}
    if isinstance(setting, list | tuple):
        return [in_json(part) for part in setting]
    if isinstance(setting, date) or (isinstance(setting, float) and not math.isfinite(setting)):
        return str(setting)
    return setting


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the model in `folder`. Raises ArtefactError."""
    path = folder / NAME
    try:
        card = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtefactError(f"{path} must be the card of the model, but there is no such file") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path} must be a model's card in JSON, but cannot be read: {error}") from None
    found = card.get("version") if isinstance(card, dict) else None
    if found != VERSION:
        raise ArtefactError(f"{path} must be a model's card of version {VERSION}, but its version is {found!r:.40}")
    missing = [key for key in ("input", "output", "files") if not isinstance(card.get(key), dict)]
    if missing:
        raise ArtefactError(f"{path} must have the section {missing[0]!r}, but has none")
    checked: dict[str, Any] = card
    return checked


def check_file(path: Path, card: Mapping[str, Any]) -> None:
    """Whether the file is the one that the card was written for. Raises ArtefactError."""
    entry = card["files"].get(path.name)
    if entry is None:
        known = ", ".join(card["files"])
        raise ArtefactError(f"{path} must be a file of which its card tells ({known}), but is none of them")
    if not path.is_file():
        raise ArtefactError(f"{path} must be there, as its card says, but is not")
    if _sha256(path) != entry["sha256"]:
        raise ArtefactError(f"{path} is damaged or has been replaced: its SHA-256 is not that of its card")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
