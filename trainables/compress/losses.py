"""What a student learns from its teacher's outputs: the mean over a batch, by one method each.

student, teacher: logits (B, classes). labels: (B,), or (B, classes) probabilities where examples are mixed. All but
`dist` shrink with the square of the temperature, which they are multiplied with, so that their share stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SoftLoss = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""(student, teacher, labels, temperature) to a scalar."""

TARGET_WEIGHT, OTHERS_WEIGHT = 1.0, 2.0
"""Of the two parts of decoupled distillation. The paper has 0.5 to 8 for the second, to which it climbs over 20 epochs:
with 8 from the start a student of few epochs can end at chance."""

SPREAD = 0.1
"""Least standard deviation of logits where a loss divides by it.

Without it, the gradients of a head that starts at zero, or near it, grow without bound.
"""

STEEPEST = 10.0
"""Norm of the gradient of one example's logits that counts as the largest. That of cross entropy is at most the square
root of two; that of `dist` grows with the square of the temperature."""


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
    al. 2024, arXiv:2403.01427). Rows with less than SPREAD are divided by SPREAD."""
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
    each class (Huang et al. 2022, arXiv:2205.10536, with both weights 1). Predictions that spread less than logits of
    SPREAD would are correlated as if they spread as much as that."""
    ours, theirs = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    least = SPREAD / temperature / student.shape[1]  # to first order, of probabilities around 1 / classes
    return temperature**2 * (_uncorrelated(ours, theirs, least) + _uncorrelated(ours.T, theirs.T, least))


def gentle(loss: SoftLoss, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The loss of classes, with a gradient in which no example has more than STEEPEST / B; whatever the loss is
    multiplied with afterwards."""
    if not student.requires_grad:
        return loss(student, teacher, labels, temperature)
    with torch.enable_grad():
        logits = student.detach().requires_grad_()
        value = loss(logits, teacher, labels, temperature)
        (slope,) = torch.autograd.grad(value, logits)
    most = STEEPEST / len(slope)
    norm: Tensor = torch.linalg.vector_norm(slope, dim=1, keepdim=True)
    slope = slope * (most / norm.clamp_min(most))
    return value.detach() + ((student - student.detach()) * slope).sum()


LOSSES: dict[str, SoftLoss] = {"kl": kl, "logit_standard": logit_standard, "dkd": dkd, "dist": dist, "hints": kl}
"""By the names in StudentConfig; `hints` has the distance of features beside it."""

OF_CLASSES = frozenset({"logit_standard", "dkd", "dist"})
"""Those that mean nothing for a single output."""


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of logits (B, n)."""
    ours, theirs = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def _standardized(logits: Tensor) -> Tensor:
    """Rows with zero mean and unit variance, those with a standard deviation under SPREAD divided by SPREAD."""
    centred = logits - logits.mean(1, keepdim=True)
    if logits.shape[1] == 1:
        return centred
    unit = centred.detach().abs().amax(1, keepdim=True).clamp_min(1.0)  # the square of large logits is not finite
    return centred / (unit * (centred / unit).std(1, keepdim=True)).clamp_min(SPREAD)


def _against_others(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, 2): the masked class, and all the others as one."""
    others = logits.masked_fill(mask, torch.finfo(logits.dtype).min).logsumexp(1)
    return torch.stack((logits[mask], others), 1)


def _others(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, classes - 1): without the masked class."""
    return logits[~mask].view(len(logits), -1)


def _uncorrelated(ours: Tensor, theirs: Tensor, least: float) -> Tensor:
    """1 - Pearson's correlation over the rows' values, the mean over rows; `least` is the smallest standard deviation
    that is divided by."""
    return 1 - (_normalized(ours, least) * _normalized(theirs, least)).sum(1).mean()


def _normalized(rows: Tensor, least: float) -> Tensor:
    """Centred rows of unit norm, shorter where their standard deviation is below `least`."""
    centred = rows - rows.mean(1, keepdim=True)
    norm: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return centred / norm.clamp_min(least * math.sqrt(centred.shape[1]))
