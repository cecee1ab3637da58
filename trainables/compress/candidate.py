"""From trained models to delivered ones: parents as they are, and students beside their controls."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from trainables.compress.card import in_json
from trainables.compress.deliver import Origin, deliver
from trainables.compress.plan import CompressPlan, Parent, StudentConfig
from trainables.compress.row import CompressedModel
from trainables.compress.student import Student, StudentTrainer
from trainables.compress.verify import score, torch_outputs
from trainables.config import TrainConfig
from trainables.data import Dataset
from trainables.errors import StudentError
from trainables.trainer import Diverged


def compress(
    model: nn.Module,
    data: Dataset,
    plan: CompressPlan,
    folder: Path = Path("models"),
    train: TrainConfig | None = None,
    name: str = "model",
) -> list[CompressedModel]:
    """The model as it is and its students, each in `folder`/<id>/; a quantised one is in its model's folder.

    For a model of any origin, here and now; what is searched needs a cluster: `orchestrator.compress`. A student
    that cannot be made, or diverges, is rejected with the reason, and the others go on.

    Args:
        model: gives outputs (N, classes) or (N, 1) for inputs as `data` has them; it stays as it is.
        train: how students are trained, apart from what the plan says; None is batches without augmentation.
        name: what the ids begin with.
    """
    parent = Parent(model, train or TrainConfig(), name)
    rows = export_dense(parent, data, folder, int8=plan.int8)
    for number, config in enumerate(plan.students, 1):
        rows += _made(parent, data, config, f"student-{number:04d}", folder, plan.int8)
    return rows


def export_dense(parent: Parent, data: Dataset, folder: Path, *, int8: bool = True) -> list[CompressedModel]:
    """Export and check the parent itself: the row that its students are compared with, and its int8 model's."""
    row = CompressedModel(id=dense_id(parent.trial), parent=parent.trial, kind="dense", status="ok")
    return deliver(row, parent.model, data, folder / row.id, _origin(parent, {}), int8=int8)


def export_student(
    student: Student, data: Dataset, folder: Path, control: nn.Module | None = None, *, int8: bool = True
) -> list[CompressedModel]:
    """Export and check a trained student: its row, with the scores of its control beside its own, and its int8
    model's."""
    training = sum(epoch["seconds"] for epoch in student.epochs)
    row = student_row(student.parent.trial, student.name, student.config)
    row = replace(row, seconds=training, kept="; ".join(student.kept))
    if control is not None:
        validation, test = (
            score(torch_outputs(control, part.inputs), part.targets) for part in (data.validation, data.test)
        )
        row = replace(row, control_val=validation, control_test=test)
    facts = {"student": in_json(student.config.model_dump()), "widths": student.widths, "epochs": student.epochs}
    return deliver(row, student.model, data, folder / row.id, _origin(student.parent, facts), int8=int8)


def student_row(parent: str, name: str, config: StudentConfig) -> CompressedModel:
    """What is known of a student's model before it is made."""
    return CompressedModel(
        id=f"{parent}-{name}",
        parent=parent,
        kind=config.kind,
        student=name,
        keep_macs=config.keep_macs,
        sparsity=config.sparsity,
        loss=config.loss,
        status="ok",
    )


def dense_id(trial: str) -> str:
    """The id of the model that a trial is as it was trained."""
    return f"{trial}-dense"


def _made(
    parent: Parent, data: Dataset, config: StudentConfig, name: str, folder: Path, int8: bool
) -> list[CompressedModel]:
    """The rows of one student, trained now, as is its control where it has a teacher."""
    try:
        student = _trained(parent, data, config, name)
        control = _trained(parent, data, config.control(), name).model if config.has_teacher else None
    except (StudentError, Diverged) as error:
        return [replace(student_row(parent.trial, name, config), status="rejected", reason=str(error))]
    return export_student(student, data, folder, control, int8=int8)


def _trained(parent: Parent, data: Dataset, config: StudentConfig, name: str) -> Student:
    trainer = StudentTrainer(parent, data, config)
    return trainer.student(name, [asdict(epoch) for epoch in trainer.epochs()])


def _origin(parent: Parent, lineage: dict[str, Any]) -> Origin:
    facts = {"lineage": {"trial": parent.trial, **lineage}, "train": in_json(parent.train.model_dump())}
    return Origin(facts, parent.train.data.fit)
