"""Training back what pruning cost: BatchNorm statistics first, then a teacher beside the targets."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainables.compress.hints import Guided
from trainables.compress.losses import LOSSES, OF_CLASSES, gentle
from trainables.compress.plan import StudentConfig
from trainables.compress.probe import device_of
from trainables.data import as_floats
from trainables.errors import StudentError
from trainables.objectives import Objective, cross_entropy

BATCH = 256


class DistilError(StudentError):
    """A student that cannot learn from its teacher in the way that was asked."""


class Ensemble(nn.Module):
    """Several models as one teacher: the logarithm of the mean of their probabilities, or the mean of their values."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = torch.stack([member(inputs).float() for member in self.members])
        if outputs.shape[2] == 1:
            return outputs.mean(0)
        return outputs.log_softmax(2).logsumexp(0) - torch.tensor(float(len(outputs))).log()


def frozen(teacher: nn.Module) -> nn.Module:
    """A copy that does not learn, in evaluation mode."""
    return copy.deepcopy(teacher).eval().requires_grad_(False)


class Distillation:
    """The Objective of a student: `distil_weight` of the loss is what `teacher` says of the same (augmented) inputs,
    the rest is `task`, the loss without a teacher. With weight 0 the teacher is not asked.

    teacher: frozen, where the inputs are. guided: the student with its adapters, for the loss "hints". unit: in what
    predicted values are compared; see squared_error().
    """

    def __init__(
        self,
        teacher: nn.Module,
        config: StudentConfig,
        task: Objective = cross_entropy,
        *,
        guided: Guided | None = None,
        unit: float = 1.0,
    ) -> None:
        self._teacher = teacher
        self._loss = config.loss
        self._soft = LOSSES.get(config.loss)
        self._temperature = config.temperature
        self._weight = config.distil_weight if self._soft else 0.0
        self._task = task
        self._guided = guided
        self._unit = unit

    def __call__(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """The mean loss of a batch: outputs (B, K), targets (B,) or mixed (B, K), inputs (B, ...).

        Raises DistilError.
        """
        task = self._task(outputs, targets, inputs)
        if self._soft is None or not self._weight:
            return task
        if outputs.shape[1] == 1 and self._loss in OF_CLASSES:
            raise DistilError(f"loss: {self._loss} compares classes; where a value is predicted, use kl or hints")
        with torch.no_grad():
            answers = self._teacher(inputs).float()
        logits = outputs.float() / self._unit, answers / self._unit
        if outputs.shape[1] == 1:
            taught = self._soft(*logits, targets, self._temperature)
        else:
            taught = gentle(self._soft, *logits, targets, self._temperature)
        if self._guided is not None:
            taught = taught + self._guided.distance()
        return self._weight * taught + (1 - self._weight) * task


def recalibrate(model: nn.Module, inputs: Tensor) -> None:
    """Measure the BatchNorm statistics of `model` anew on `inputs` (N, ...), floats or uint8; its weights stay."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    device = device_of(model)
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    with torch.no_grad():
        for batch in inputs.chunk(-(-len(inputs) // BATCH)):
            model(as_floats(batch.to(device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
