"""The seam between the training loop and how a model is spread: what the loop asks of its rank's part of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from trainables.config import TrainConfig
from trainables.objectives import Objective
from trainables.parallel.ddp import Group
from trainables.parallel.pipeline import Pipeline
from trainables.parallel.replica import Replica


class Engine(Protocol):
    """This rank's part of one model, and how its ranks train it together.

    A replica is the ranks that hold one whole model between them, be it one rank. Every rank makes the same calls in
    the same order; a replica without rows of a batch leaves out `backward` for it, on all of its ranks.
    """

    module: nn.Module
    """This rank's parameters and buffers on the group's device: the whole model, or one stage of it."""

    def backward(self, inputs: Tensor, targets: Tensor, weight: float | Tensor) -> Tensor:
        """Adds the gradient of `weight` times the summed loss of these rows, which are this replica's.

        Every rank of the replica gives the same rows: inputs (B, ...), targets (B,) or (B, K), on the group's device.
        Only the first stage's rank trains on its inputs; elsewhere they may be as they were before augmentation.
        Returns this rank's part of the summed loss, a detached scalar: the parts of a replica's ranks add up to it, so
        that only the last stage's is not zero.
        """

    def sync_gradients(self) -> None:
        """Gradients become their sum over the replicas; what has none on any replica has none afterwards."""

    def gradient_norm(self) -> Tensor:
        """The 2-norm of all gradients of the whole model, a scalar, the same on every rank; after sync_gradients."""

    def sync_buffers(self) -> None:
        """Buffers that differ between replicas (BatchNorm's statistics) become their mean, counters the first's."""

    def logits(self, inputs: Tensor) -> Tensor | None:
        """The model's outputs for inputs (B, ...), in the module's present mode; None but on the last stage's rank."""

    def whole_name(self, name: str) -> str:
        """What the whole model calls a parameter or buffer that `module` calls `name`."""

    def gather(self, named: dict[str, Any]) -> dict[str, Any]:
        """One dict, on every rank, of those that the stages give; keys are the whole model's names.

        The values are tensors, or dicts of tensors.
        """


def make_engine(
    model: nn.Module, objective: Objective, config: TrainConfig, group: Group, input_shape: Sequence[int]
) -> Engine:
    """The engine of this rank's part of `model`, which it takes over: trained in place as far as it is held here.

    group: with the stages of `config.parallel`. input_shape: of one example. Raises ModelError for a model that cannot
    be cut into those stages.
    """
    if group.stages == 1:
        return Replica(model, objective, config, group)
    return Pipeline(model, objective, config, group, input_shape)
