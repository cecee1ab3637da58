"""Whether what a sweep asks for fits its data: what can be said once they are read, before anything is started."""

from __future__ import annotations

from orchestrator.errors import SweepError
from orchestrator.sweep import Sweep, place_of
from search_spaces import Config
from trainables import DataConfig, Dataset, ModelError, SettingError, check_fit, check_model, load_data
from trainables.compress import OF_CLASSES, StudentTask
from trainables.config import ModelConfig

_NOT_OF = {"regression": "val_accuracy", "classification": "val_r2"}


def check_data(sweep: Sweep) -> Dataset:
    """Reads all data that the space can ask for, and looks at whether the rest fits; the first of them.

    Raises SweepError or DataError.
    """
    known: dict[DataConfig, Dataset] = {}
    for config in sweep.space.corners():
        train = sweep.train_config(config)
        if train.data not in known:
            known[train.data] = load_data(train.data)
            _check_task(sweep, known[train.data])
        try:
            check_fit(train, known[train.data])
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
            rule = f"must be at most compress.best, {len(task.parents)}"
            raise SweepError(f"{_place(config, 'teachers')}: {rule}, but got {task.student.teachers}")
        if task.student.architecture is not None:
            _check_architecture(sweep, config, task.student.architecture, data)


def _check_architecture(sweep: Sweep, config: Config, architecture: ModelConfig, data: Dataset) -> None:
    train = sweep.train_config(next(sweep.space.corners())).model_copy(update={"model": architecture})
    try:
        check_model(architecture)
        check_fit(train, data)
    except (ModelError, SettingError) as error:
        rest = str(error).removeprefix("model.")
        raise SweepError(f"{_place(config, 'architecture.' + rest)}") from None


def _place(config: Config, key: str) -> str:
    varies = any(key.startswith(name) for name in config)
    return f"compress.space.parameters.{key}" if varies else f"compress.{key}"


def _check_task(sweep: Sweep, data: Dataset) -> None:
    """Whether the data have what the sweep measures."""
    if sweep.metric == _NOT_OF[data.task]:
        others = "val_loss or val_r2" if data.task == "regression" else "val_accuracy or val_loss"
        raise SweepError(f"metric: must be one that {data.task} has, such as {others}, but got {sweep.metric!r}")
