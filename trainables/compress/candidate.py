"""From a trained model to exported, checked candidates; each is made on its own, so they can run anywhere."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from trainables.compress.deliver import Origin, deliver
from trainables.compress.distil import DistilError
from trainables.compress.plan import CompressPlan, Parent
from trainables.compress.prune import PruneError
from trainables.compress.row import CompressedModel
from trainables.compress.student import StudentTrainer
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
    """The model as it is and one smaller model for each of `plan.shares`, each in `folder`/<id>/.

    With `plan.int8`, the quantised one of each follows it, in the same folder.
    """
    parent = Parent(model, train, trial)
    made = [export_dense(parent, data, folder, int8=plan.int8)]
    made += [compress_one(parent, data, keep, plan, folder) for keep in plan.shares]
    return [row for rows in made for row in rows]


def export_dense(parent: Parent, data: Dataset, folder: Path, *, int8: bool = True) -> list[CompressedModel]:
    """Export and check the parent itself: the row that its children are compared with, and its int8 model's."""
    row = CompressedModel(
        id=model_id(parent.trial, DENSE), parent=parent.trial, kind="dense", keep_macs=DENSE, status="ok"
    )
    return deliver(row, parent.model, data, folder / row.id, _origin(parent, []), int8=int8)


def compress_one(
    parent: Parent, data: Dataset, keep_macs: float, plan: CompressPlan, folder: Path
) -> list[CompressedModel]:
    """Prune a copy of the parent to `keep_macs`, train it back, export it and check it; with its int8 model's row.

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
        return [replace(row, status="rejected", reason=str(error), seconds=time.perf_counter() - start)]
    steps: list[dict[str, Any]] = [
        {"step": "prune", "keep_macs": keep_macs, "widths": student.widths},
        {"step": "distil", "epochs": [asdict(epoch) for epoch in epochs]},
    ]
    origin = _origin(parent, steps, plan=plan.model_dump(mode="json"))
    row = replace(row, seconds=time.perf_counter() - start)
    return deliver(row, student.model, data, folder / row.id, origin, int8=plan.int8)


def _origin(parent: Parent, steps: list[dict[str, Any]], **more: Any) -> Origin:
    lineage = {"trial": parent.trial, "steps": steps}
    return Origin({"lineage": lineage, "train": parent.train.model_dump(mode="json"), **more}, parent.train.data.fit)
