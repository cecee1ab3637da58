"""Training back what pruning cost: BatchNorm statistics first, then the unpruned parent as the teacher."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.compress.plan import CompressPlan
from trainables.config import OptimizerConfig, ParallelConfig, ScheduleConfig, StoppingConfig, TrainConfig
from trainables.data import Dataset, as_floats
from trainables.trainer import EpochMetrics, Trainer

BATCH = 256


class Distillation:
    """The loss of a student that imitates `teacher` (Hinton et al. 2015, arXiv:1503.02531).

    `weight` is the share of the Kullback-Leibler divergence between the two softened predictions for the same
    (augmented) images; the rest is cross entropy with the labels. `weight=0` is plain fine-tuning.
    """

    def __init__(self, teacher: nn.Module, temperature: float, weight: float) -> None:
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.temperature = temperature
        self.weight = weight

    def __call__(self, logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """The mean loss of a batch: logits (B, classes), labels (B,), images (B, C, H, W)."""
        with torch.no_grad():
            target = F.log_softmax(self.teacher.to(images.device)(images).float() / self.temperature, dim=1)
        softened = F.log_softmax(logits.float() / self.temperature, dim=1)
        divergence = F.kl_div(softened, target, reduction="batchmean", log_target=True)
        # The soft part's gradients shrink with the square of the temperature.
        soft = self.temperature**2 * divergence
        return self.weight * soft + (1 - self.weight) * F.cross_entropy(logits, labels)


def recalibrate(model: nn.Module, images: Tensor) -> None:
    """Measure the BatchNorm statistics of `model` anew on `images` (N, C, H, W), floats or uint8; its weights stay."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    with torch.no_grad():
        for batch in images.chunk(-(-len(images) // BATCH)):
            model(as_floats(batch.to(device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def distil(
    student: nn.Module, teacher: nn.Module, data: Dataset, plan: CompressPlan, train: TrainConfig
) -> list[EpochMetrics]:
    """Train all of `student` in place for `plan.epochs`, as `train` says but with SGD at the plan's rate.

    It ends with the weights of its best epoch. Raises Diverged.
    """
    student.requires_grad_(True)
    config = train.model_copy(
        update={
            "epochs": plan.epochs,
            "optimizer": OptimizerConfig(lr=plan.lr, weight_decay=train.optimizer.weight_decay),
            "schedule": ScheduleConfig(),
            "stopping": StoppingConfig(),
            "parallel": ParallelConfig(),
        }
    )
    objective = Distillation(teacher, plan.temperature, plan.distil_weight)
    return list(Trainer(config, data, model=student, objective=objective).epochs())
