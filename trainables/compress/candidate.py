"""From a trained model to exported, checked candidates; each is made on its own, so they can run anywhere."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from trainables.compress.cost import cost
from trainables.compress.distil import DistilError
from trainables.compress.export import INPUT, OUTPUT, ExportError, export_onnx, save_weights, write_card
from trainables.compress.plan import CompressedModel, CompressPlan, Parent
from trainables.compress.prune import PruneError
from trainables.compress.student import StudentTrainer
from trainables.compress.verify import onnx_accuracy, parity
from trainables.config import TrainConfig
from trainables.data import Dataset
from trainables.trainer import Diverged

DENSE = 1.0
"""The share of operations that the parent itself keeps."""


def model_id(trial: str, keep_macs: float) -> str:
    """The folder's name of the model that keeps such a share of its parent's operations."""
    return f"{trial}-dense" if keep_macs == DENSE else f"{trial}-pruned-{keep_macs:g}"


def compress(
    model: nn.Module,
    data: Dataset,
    plan: CompressPlan,
    folder: Path,
    train: TrainConfig,
    trial: str = "model",
) -> list[CompressedModel]:
    """The model as it is and one smaller model for each of `plan.shares`, each in `folder`/<id>/."""
    parent = Parent(model, train, trial)
    dense = export_dense(parent, data, folder)
    return [dense, *(compress_one(parent, data, keep, plan, folder) for keep in plan.shares)]


def export_dense(parent: Parent, data: Dataset, folder: Path) -> CompressedModel:
    """Export and check the parent itself: the row that its children are compared with."""
    start = time.perf_counter()
    row = CompressedModel(
        id=model_id(parent.trial, DENSE), parent=parent.trial, kind="dense", keep_macs=DENSE, status="ok"
    )
    return _deliver(row, parent.model, data, folder / row.id, _card(parent, data, []), start)


def compress_one(parent: Parent, data: Dataset, keep_macs: float, plan: CompressPlan, folder: Path) -> CompressedModel:
    """Prune a copy of the parent to `keep_macs`, train it back, export it and check it.

    A model that cannot be pruned so far, or whose training diverges, comes back as rejected, without a file.
    """
    start = time.perf_counter()
    row = CompressedModel(
        id=model_id(parent.trial, keep_macs),
        parent=parent.trial,
        kind="pruned",
        keep_macs=keep_macs,
        status="ok",
    )
    config = plan.student.model_copy(update={"keep_macs": keep_macs})
    student = StudentTrainer(parent, data, config)
    try:
        epochs = list(student.epochs())
    except (PruneError, DistilError, Diverged) as error:
        return replace(row, status="rejected", reason=str(error), seconds=time.perf_counter() - start)
    steps: list[dict[str, Any]] = [
        {"step": "prune", "keep_macs": keep_macs, "widths": student.widths},
        {"step": "distil", "epochs": [asdict(epoch) for epoch in epochs]},
    ]
    card = _card(parent, data, steps) | {"plan": plan.model_dump(mode="json")}
    return _deliver(row, student.model, data, folder / row.id, card, start)


def _deliver(
    row: CompressedModel, model: nn.Module, data: Dataset, folder: Path, card: dict[str, Any], start: float
) -> CompressedModel:
    """Write the model's files into `folder` and fill in `row` from them; the card comes last and is complete."""
    artefact, weights = folder / "model.onnx", folder / "weights.safetensors"
    size = cost(model, data.input_shape)
    row = replace(row, macs=size.macs, parameters=size.parameters)
    try:
        export_onnx(model, data.input_shape, artefact)
    except ExportError as error:
        return replace(row, status="rejected", reason=str(error), seconds=time.perf_counter() - start)
    save_weights(model, weights)
    check = parity(artefact, model, data.validation.inputs)
    fault = check.fault()
    row = replace(
        row,
        status="rejected" if fault else "ok",
        reason=fault,
        bytes=artefact.stat().st_size,
        val_accuracy=onnx_accuracy(artefact, data.validation),
        test_accuracy=onnx_accuracy(artefact, data.test),
        parity_max_abs_error=check.max_abs_error if math.isfinite(check.max_abs_error) else None,
        parity_agreement=check.agreement,
        path=str(artefact),
        seconds=time.perf_counter() - start,
    )
    facts = {key: value for key, value in asdict(row).items() if key != "path"}  # the folder may move
    write_card(folder / "card.json", {"model": facts, **card}, [artefact, weights])
    return row


def _card(parent: Parent, data: Dataset, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """What a reader of the files has to know, beside their row: what goes in, what comes out, where it is from."""
    shape = list(data.input_shape)
    return {
        "input": {"name": INPUT, "shape": ["batch", *shape], "type": "float32", "range": [0, 1]},
        "output": {"name": OUTPUT, "classes": list(data.classes)},
        "lineage": {"trial": parent.trial, "steps": steps},
        "train": parent.train.model_dump(mode="json"),
    }
