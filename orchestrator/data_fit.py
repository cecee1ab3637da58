"""Whether what a sweep asks for fits its data: what can be said once they are read, before anything is started."""

from __future__ import annotations

import re

from orchestrator.errors import SweepError
from orchestrator.sweep import Sweep, place_of
from search_spaces import Config
from trainables import DataConfig, Dataset, SettingError, check_fit, check_model, load_data
from trainables.compress import OF_CLASSES, StudentConfig, StudentTask

_NOT_OF = {"regression": "val_accuracy", "classification": "val_r2"}
_PARTED_ALIKE = {name: DataConfig.model_fields[name].default for name in ("seed", "validation", "test")}


def check_data(sweep: Sweep) -> Dataset:
    """Reads all data that the space can ask for, and looks at whether the rest fits; the first of them.

    Those that are only parted in other ways are read once: of seeds and fractions a space may have any number. Raises
    SweepError or DataError.
    """
    known: dict[DataConfig, Dataset] = {}
    for config in sweep.space.corners():
        train = sweep.train_config(config)
        whole = train.data.model_copy(update=_PARTED_ALIKE)
        if whole not in known:
            known[whole] = load_data(train.data)
            _check_task(sweep, known[whole])
        try:
            check_fit(train, known[whole])
        except SettingError as error:
            where = place_of(config, error.key).removesuffix(error.key)
            raise SweepError(f"{where}{error}") from None
    return next(iter(known.values()))


def check_students(sweep: Sweep, students: Sweep, data: Dataset) -> None:
    """Whether the students of a sweep's trials can be made and learn from those. Raises SweepError."""
    for config in students.space.corners():
        task = StudentTask.of(students.train, config)
        if data.task == "regression" and task.student.loss in OF_CLASSES:
            rule = "must be kl, hints or cross_entropy where values are predicted"
            raise SweepError(f"{_place(config, 'loss')}: {rule}, but got {task.student.loss!r}")
        if task.student.teachers > len(task.parents):
            few = sweep.compress is not None and len(task.parents) < sweep.compress.best
            rule = "must be at most the trials that there are" if few else "must be at most compress.best"
            where = _place(config, "teachers")
            raise SweepError(f"{where}: {rule}, {len(task.parents)}, but got {task.student.teachers}")
        _check_own(sweep, config, task.student, data)


def _check_own(sweep: Sweep, config: Config, student: StudentConfig, data: Dataset) -> None:
    """Whether what a student has in place of its parent's fits the data."""
    if student.architecture is None and student.augment is None:
        return
    train = student.training(sweep.train_config(next(sweep.space.corners())))
    try:
        check_model(train.model)
        check_fit(train, data)
    except SettingError as error:
        raise SweepError(_place(config, re.sub(r"^model\b", "architecture", str(error)))) from None


def _place(config: Config, key: str) -> str:
    varies = any(key.startswith(name) for name in config)
    return f"compress.space.parameters.{key}" if varies else f"compress.{key}"


def _check_task(sweep: Sweep, data: Dataset) -> None:
    """Whether the data have what the sweep measures."""
    if sweep.metric == _NOT_OF[data.task]:
        others = "val_loss or val_r2" if data.task == "regression" else "val_accuracy or val_loss"
        raise SweepError(f"metric: must be one that {data.task} has, such as {others}, but got {sweep.metric!r}")
