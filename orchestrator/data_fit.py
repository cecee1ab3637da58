"""Whether what a sweep asks for fits its data: what can be said once they are read, before anything is started."""

from __future__ import annotations

from orchestrator.errors import SweepError
from orchestrator.sweep import Sweep, place_of
from search_spaces import Config
from trainables import Dataset, ModelError, SettingError, check_fit, check_model, load_data
from trainables.compress import OF_CLASSES, StudentTask
from trainables.config import ModelConfig

_NOT_OF = {"regression": "val_accuracy", "classification": "val_r2"}


def check_data(sweep: Sweep) -> Dataset:
    """Reads the data, and looks at what the space can ask for. Raises SweepError or DataError."""
    data = load_data(sweep.train_config(next(sweep.space.corners())).data)
    _check_task(sweep, data)
    for config in sweep.space.corners():
        try:
            check_fit(sweep.train_config(config), data)
        except SettingError as error:
            where = place_of(config, error.key).removesuffix(error.key)
            raise SweepError(f"{where}{error}") from None
    return data


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
