"""A student as a trial of a search: what it is made from, the worker that trains it, and what it left in its folder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Self

from pydantic import ValidationError
from torch import nn

from trainables.compress.cost import cost, meter
from trainables.compress.distil import Ensemble
from trainables.compress.plan import Parent, StudentConfig, Target
from trainables.compress.student import Student, StudentTrainer
from trainables.config import Names, laid_over
from trainables.data import Dataset, load_data
from trainables.errors import StudentError
from trainables.parallel import SOLO, Group
from trainables.settings import Settings
from trainables.storage import Place, join
from trainables.trainer import EpochMetrics
from trainables.worker import CHECKPOINT, Worker, load_best, read_checkpoint

_load_data = lru_cache(maxsize=2)(load_data)


class StudentTask(Settings):
    """One student of a run's trial, as plain data.

    Attributes:
        run: where the run is whose trials are parents and teachers.
        parents: the best trials of it, best first: the teachers are the first of them.
        parent: the trial that the student is made from.
        student: how it is made.
        control: whether it is a control: as `student` says, but without a teacher.
        against: what `share` measures in the student's epochs.
    """

    run: str
    parents: Names
    parent: str = ""
    student: StudentConfig = StudentConfig()
    control: bool = False
    against: Target = "macs"

    @classmethod
    def of(cls, base: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Self:
        """`base`, whose `student` is as nested settings, with a trial's flat dotted values of the latter laid over it;
        `parent` and `control` among them are the task's own. Raises SettingError.
        """
        values = {name: value for name, value in (overrides or {}).items() if name not in ("parent", "control")}
        own = {name: value for name, value in (overrides or {}).items() if name not in values}
        try:
            student = laid_over(StudentConfig, base.get("student", {}), values)
        except ValidationError as error:
            raise StudentConfig.failed(error) from None
        task = cls.model_validate({**base, **own, "student": student})
        return task.model_copy(update={"student": student.control()}) if task.control else task

    @property
    def epochs(self) -> int:
        """How many the student is trained."""
        return self.student.epochs

    def make_parent(self, trial: str = "") -> Parent:
        """The student's parent, or that trial of the run. Raises CheckpointError, FileNotFoundError or StoreError."""
        name = trial or self.parent
        return Parent(*load_best(join(self.run, "checkpoints", name, CHECKPOINT)), name)

    def make_trainer(self, data: Dataset, group: Group = SOLO) -> StudentTrainer:
        """The student before its first epoch. Raises what make_parent() does, and StudentError."""
        return StudentTrainer(self.make_parent(), data, self.student, teacher=self._teacher(), group=group)

    def _teacher(self) -> nn.Module | None:
        """The ensemble of the run's best trials, where one is asked for."""
        count = self.student.teachers
        if not count:
            return None
        if count > len(self.parents):
            raise StudentError(f"teachers: must be at most the trials to learn from, {len(self.parents)}, got {count}")
        models = [self.make_parent(trial).model for trial in self.parents[:count]]
        return models[0] if count == 1 else Ensemble(models)


class StudentWorker(Worker):
    """A Worker whose trials are students. Their epochs have what the student costs as well: macs, parameters, and
    share, the fraction of the best parent's cost, by the task's `against`."""

    def _made(self, config: dict[str, Any]) -> tuple[dict[str, Any], StudentTrainer]:
        self._task = task = StudentTask.model_validate(config)
        self._measured: tuple[nn.Module, dict[str, float]] | None = None
        with self._timed("build"):
            parent = task.make_parent()
        with self._timed("data"):
            data = _load_data(parent.train.data)
        with self._timed("build"):
            self._student = task.make_trainer(data, self.group)
        # A run that goes on may have other best trials by then: of these the checkpoint is to hold the teachers only.
        teachers = task.parents[: task.student.teachers]
        return task.model_copy(update={"parents": teachers}).model_dump(), self._student

    def _told(self, metrics: EpochMetrics) -> dict[str, Any]:
        return {**super()._told(metrics), **({} if self.group.rank else self._costs())}

    def _costs(self) -> dict[str, float]:
        """Measured once for each network that the student has been cut to."""
        student, task = self._student, self._task
        if self._measured is None or self._measured[0] is not student.model:
            shape, best = student.data.input_shape, task.make_parent(task.parents[0]).model
            model = copy.deepcopy(student.model).cpu()
            with meter(task.against, best, shape) as share:
                self._measured = student.model, {**asdict(cost(model, shape)), "share": share(model)}
        return self._measured[1]


def load_student(folder: Place, run: Place, name: str) -> Student:
    """The student of which a checkpoint is in `folder`, with the weights of its best epoch, under that name.

    run: where its parents are. Raises CheckpointError, FileNotFoundError or StoreError.
    """
    saved = read_checkpoint(join(folder, CHECKPOINT))
    task = StudentTask.model_validate({**saved["config"], "run": str(run)})
    trainer = task.make_trainer(_load_data(task.make_parent().train.data))
    trainer.load_state_dict(saved["trainer"])
    return trainer.student(name, saved["history"])
