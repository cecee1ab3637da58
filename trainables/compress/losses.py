"""What a student learns from its teacher's outputs: the mean over a batch, by one method each.

student, teacher: logits (B, classes). labels: (B,), or (B, classes) probabilities where examples are mixed. All but
`dist` shrink with the square of the temperature, which they are multiplied with, so that their share stays.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SoftLoss = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""(student, teacher, labels, temperature) to a scalar."""

TARGET_WEIGHT, OTHERS_WEIGHT = 1.0, 8.0
"""Of the two parts of decoupled distillation; the paper's for CIFAR-100."""

_EPSILON = 1e-8


def true_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss without a teacher: cross entropy with labels (B,) or probabilities; of one output, the squared error."""
    if outputs.shape[1] == 1:
        return F.mse_loss(outputs, targets.view_as(outputs).to(outputs.dtype))
    return F.cross_entropy(outputs, targets)


def kl(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the softened predictions (Hinton et al. 2015, arXiv:1503.02531).

    Of values that are predicted (B, 1) it is the squared distance: that of normal distributions of one width.
    """
    if student.shape[1] == 1:
        return F.mse_loss(student, teacher)
    return temperature**2 * _divergence(student / temperature, teacher / temperature)


def logit_standard(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """`kl` of logits with zero mean and unit variance in each row, so that the student is free in their scale (Sun et
    al. 2024, arXiv:2403.01427)."""
    return kl(_standardized(student), _standardized(teacher), labels, temperature)


def dkd(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Decoupled: how sure of the true class, and how the other classes compare, apart (Zhao et al. 2022,
    arXiv:2203.08679, equation 7). Of a mixed example the class with the largest part counts."""
    true = labels.argmax(1) if labels.ndim == 2 else labels
    mask = F.one_hot(true, student.shape[1]).bool()
    ours, theirs = student / temperature, teacher / temperature
    target = _divergence(_against_others(ours, mask), _against_others(theirs, mask))
    others = _divergence(_others(ours, mask), _others(theirs, mask))
    return temperature**2 * (TARGET_WEIGHT * target + OTHERS_WEIGHT * others)


def dist(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """One minus Pearson's correlation of the softened predictions, over the classes of each row and over the rows of
    each class (Huang et al. 2022, arXiv:2205.10536, with both weights 1)."""
    ours, theirs = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    return temperature**2 * (_uncorrelated(ours, theirs) + _uncorrelated(ours.T, theirs.T))


LOSSES: dict[str, SoftLoss] = {"kl": kl, "logit_standard": logit_standard, "dkd": dkd, "dist": dist, "hints": kl}
"""By the names in StudentConfig; `hints` has the distance of features beside it."""

OF_CLASSES = frozenset({"logit_standard", "dkd", "dist"})
"""Those that mean nothing for a single output."""


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of logits (B, n)."""
    ours, theirs = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def _standardized(logits: Tensor) -> Tensor:
    return (logits - logits.mean(1, keepdim=True)) / (logits.std(1, keepdim=True) + _EPSILON)


def _against_others(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, 2): the masked class, and all the others as one."""
    others = logits.masked_fill(mask, -torch.inf).logsumexp(1)
    return torch.stack((logits[mask], others), 1)


def _others(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, classes - 1): without the masked class."""
    return logits[~mask].view(len(logits), -1)


def _uncorrelated(ours: Tensor, theirs: Tensor) -> Tensor:
    """1 - Pearson's correlation over the rows' values, the mean over rows; a row without spread has none."""
    ours, theirs = ours - ours.mean(1, keepdim=True), theirs - theirs.mean(1, keepdim=True)
    return 1 - F.cosine_similarity(ours, theirs, dim=1, eps=_EPSILON).mean()
