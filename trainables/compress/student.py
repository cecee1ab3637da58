"""A student in training: pruned or built anew, and taught; epoch by epoch as a Trainer, so that whoever runs trials can
run students."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from trainables.batches import Batches
from trainables.compress.distil import DistilError, Distillation, Ensemble, frozen, recalibrate
from trainables.compress.hints import INSIDE, Guided, HintError
from trainables.compress.plan import Parent, StudentConfig
from trainables.compress.prunable import PruneError, Pruning, kept_layers
from trainables.compress.prune import Pruned, prune_exactly
from trainables.compress.sparse import GradualSparsity, prunable_weights
from trainables.compress.widths import Widths, narrowed, widths_of
from trainables.config import TrainConfig
from trainables.data import Dataset
from trainables.model_state import load_model_state
from trainables.models import build_model
from trainables.objectives import make_objective
from trainables.parallel import SOLO, Group
from trainables.parallel.ddp import broadcast
from trainables.stopping import EarlyStopping
from trainables.trainer import Diverged, EpochMetrics, Trainer

RAMP = 2 / 3
"""The fraction of the last round's steps over which the sparsity climbs; in the rest the weights left recover."""


@dataclass(frozen=True)
class Student:
    """A trained student. widths: what it was cut to. epochs: the metrics of its training. kept: see Pruned."""

    name: str
    config: StudentConfig
    parent: Parent
    model: nn.Module
    widths: Widths
    epochs: list[dict[str, Any]]
    kept: tuple[str, ...] = ()


class StudentTrainer:
    """Makes one student of `parent` as `config` says and trains it; its methods are those of a Trainer.

    The student is cut in the first epoch and before each further round of pruning, then trained with `teacher`, which
    is the parent if not given. All randomness follows from the parent's seed. In a group every rank makes the same
    calls; the first one decides what is cut.
    """

    def __init__(
        self,
        parent: Parent,
        data: Dataset,
        config: StudentConfig,
        *,
        teacher: nn.Module | None = None,
        group: Group = SOLO,
    ) -> None:
        self.parent, self.data, self.config, self.group = parent, data, config, group
        self.epoch = 0
        self.kept: tuple[str, ...] = ()
        """Layers that the last round of pruning left as wide as they were, and why; of the first rank."""
        self._teacher = teacher or parent.model
        self._whole = copy.deepcopy(parent.model).requires_grad_(True)
        if config.architecture is not None:
            torch.manual_seed(parent.train.seed)
            self._whole = build_model(config.architecture, data)
        self._model = self._whole
        self._round = -1
        self._trainer: Trainer | None = None
        self._sparsity: GradualSparsity | None = None

    @property
    def model(self) -> nn.Module:
        """The student as it is now, without adapters; once epochs() has ended, with the weights of its best epoch."""
        return self._model

    @property
    def batches(self) -> Batches:
        """What an epoch consists of; there from the first epoch on."""
        return self._running().batches

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""
        return self.epoch >= self.config.epochs

    @property
    def widths(self) -> Widths:
        """What the student was cut to: with it, load_pruned() builds the student again from its architecture."""
        return widths_of(self._model, self._whole)

    def epochs(self) -> Iterator[EpochMetrics]:
        """Trains the epochs that are left; at the end the model has the weights of the last round's best epoch, of
        those in which the sparsity was reached.

        Raises PruneError or DistilError where the student cannot be made, Diverged; all in every rank alike.
        """
        if self._trainer is not None:
            yield from self._train_round(self._trainer)
        while self._round + 1 < len(self.config.rounds):
            yield from self._train_round(self._next_round())

    def best(self) -> nn.Module:
        """A copy of the student with the weights of the best epoch so far. Every rank calls it at the same time."""
        state = self._running().state_dict()["best"]
        best = copy.deepcopy(self._model)
        if self.config.loss == "hints":
            state = {name.removeprefix(INSIDE): value for name, value in state.items() if name.startswith(INSIDE)}
        load_model_state(best, state)
        return best

    def student(self, name: str, epochs: list[dict[str, Any]]) -> Student:
        """The student as it is at its best epoch so far, of those epochs, on the CPU."""
        return Student(name, self.config, self.parent, self.best().cpu(), self.widths, epochs, self.kept)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on after the last epoch, the widths included; see Trainer.state_dict()."""
        return {
            "round": self._round,
            "widths": self.widths,
            "kept": list(self.kept),
            "trainer": self._running().state_dict(),
            "sparsity": self._sparsity.state_dict() if self._sparsity else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there; nothing is pruned anew for it."""
        trainer = self._enter(state["round"], narrowed(self._whole, state["widths"]))
        trainer.load_state_dict(state["trainer"])
        self.kept = tuple(state.get("kept", ()))  # versions before 0.2 did not keep them
        if self._sparsity:
            self._sparsity.load_state_dict(state["sparsity"])
        self.epoch = self._epochs_before() + trainer.epoch

    def _running(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError("train an epoch before anything else")
        return self._trainer

    def _train_round(self, trainer: Trainer) -> Iterator[EpochMetrics]:
        before = self._epochs_before()
        try:
            for metrics in trainer.epochs():
                if self._sparsity and not self._sparsity.settled:
                    trainer.stopping = EarlyStopping(trainer.config.stopping)  # no epoch so far is to be the best
                self.epoch = before + metrics.epoch
                yield replace(metrics, epoch=self.epoch)
        except Diverged as error:
            raise Diverged(before + error.epoch, error.step) from None

    def _next_round(self) -> Trainer:
        following = self._round + 1
        model = self._pruned(self.config.rounds[following]) if self.config.prunes else self._model
        return self._enter(following, model)

    def _pruned(self, keep: float) -> nn.Module:
        """The model cut to a fraction of the parent's cost, the same in every rank."""
        made = None if self.group.rank else self._cut(keep)
        decided = broadcast(widths_of(made.model, self._whole) if isinstance(made, Pruned) else made, self.group)
        if isinstance(decided, PruneError):
            raise decided
        if not isinstance(made, Pruned):
            return narrowed(self._whole, decided)
        self.kept = made.kept
        return made.model

    def _cut(self, keep: float) -> Pruned | PruneError:
        """The model cut and ready to train. An error is returned, for all ranks to raise it: else they would wait."""
        how, examples = Pruning.of(self.config), self.data.train
        try:
            cut = prune_exactly(self._model, self.data.input_shape, keep, how, examples, self._whole)
        except PruneError as error:
            return error
        recalibrate(cut.model, examples.inputs)
        return cut

    def _enter(self, number: int, model: nn.Module) -> Trainer:
        """Starts the training of a round with that model."""
        config, train = self.config, self._train_config(number)
        teacher = frozen(self._teacher).to(self.group.device)
        self._round, self._model = number, model
        torch.manual_seed(train.seed)
        guided = self._guided(model, teacher) if config.loss == "hints" else None
        task = make_objective(self.data, train.label_smoothing)
        objective = Distillation(teacher, config, task, guided=guided, unit=float(self.data.target_std))
        trainer = Trainer(train, self.data, model=guided or model, objective=objective, group=self.group)
        self._trainer = trainer
        if config.sparsity and number == len(config.rounds) - 1:
            self._sparsity = self._sparsify(model, trainer)
        return trainer

    def _guided(self, model: nn.Module, teacher: nn.Module) -> Guided:
        example = teacher.members[0] if isinstance(teacher, Ensemble) else teacher
        try:
            return Guided(model, example, self.data.input_shape)
        except HintError as error:
            raise DistilError(str(error)) from error

    def _sparsify(self, model: nn.Module, trainer: Trainer) -> GradualSparsity:
        steps = trainer.batches.steps * trainer.config.epochs
        weights = prunable_weights(model, kept_layers(model, self.config.keep))
        sparsity = GradualSparsity(weights, self.config.sparsity, self.config.scope, int(RAMP * steps))
        trainer.optimizer.register_step_post_hook(lambda *_: sparsity.after_step())
        return sparsity

    def _train_config(self, number: int) -> TrainConfig:
        """Of a round of pruning: its share of the epochs, and random numbers of its own."""
        own = {"epochs": self._epochs_of(number), "seed": (self.parent.train.seed + number) % 2**32}
        return self.config.training(self.parent.train).model_copy(update=own)

    def _epochs_of(self, number: int) -> int:
        """Equal shares, and what is left over for the last round."""
        share, rest = divmod(self.config.epochs, len(self.config.rounds))
        return share + (rest if number == len(self.config.rounds) - 1 else 0)

    def _epochs_before(self) -> int:
        return sum(self._epochs_of(number) for number in range(self._round))


def make_student(
    parent: Parent, data: Dataset, config: StudentConfig, *, teacher: nn.Module | None = None
) -> nn.Module:
    """The trained student. Raises PruneError, DistilError or Diverged."""
    student = StudentTrainer(parent, data, config, teacher=teacher)
    for _ in student.epochs():
        pass
    return student.model
