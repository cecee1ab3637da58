"""Which channels matter least: a score a channel for each group of layers whose channels go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from trainables.compress.losses import true_loss
from trainables.compress.plan import Importance
from trainables.compress.probe import device_of, evaluation
from trainables.data import Split, as_floats

Scorer = Callable[[Any], Tensor]
"""A group of torch-pruning to the scores of its channels."""

EXAMPLES = 2048
"""Training examples of which Taylor importance looks at the gradients, at most."""

_BATCH = 128


class ImportanceError(ValueError):
    """An importance that cannot be had of this network or without examples."""


def scorer(importance: Importance, model: nn.Module, examples: Split | None) -> Scorer:
    """How the groups of `model` are scored; its parameters, which must want gradients, may be overwritten for it.

    Raises ImportanceError.
    """
    match importance:
        case "magnitude":
            return _magnitude
        case "bn_scale":
            if not any(_is_scaled(module) for module in model.modules()):
                raise ImportanceError("bn_scale needs a BatchNorm with weights, and the network has none")
            return _scale
        case "taylor":
            if examples is None or not len(examples):
                raise ImportanceError("taylor needs training examples, and there are none")
            _to_saliency(model, examples)
            return _taylor


def _magnitude(group: Any) -> Tensor:
    """Squared L2 norm of each channel's weights over all layers of the group, relative to the group's mean."""
    scores: Tensor = tp.importance.GroupMagnitudeImportance(p=2, normalizer="mean")(group)
    return scores


def _scale(group: Any) -> Tensor:
    """Absolute BatchNorm scales relative to the group's mean (Liu et al. 2017, arXiv:1708.06519); a group without any
    goes by magnitude, which is relative too."""
    scores: Tensor | None = tp.importance.BNScaleImportance()(group)
    return _magnitude(group) if scores is None else scores


def _taylor(group: Any) -> Tensor:
    """The sum over the group's weights, which are their saliencies: comparable from layer to layer as it is."""
    scores: Tensor = tp.importance.GroupMagnitudeImportance(p=1, group_reduction="sum", normalizer=None)(group)
    return scores


def _to_saliency(model: nn.Module, examples: Split) -> None:
    """Put into each parameter's place its saliency: what the loss would change without it, to first order, squared.

    The mean over batches of the squared product of weight and gradient (Molchanov et al. 2019, arXiv:1906.10771,
    equation 8).
    """
    saliency = {parameter: torch.zeros_like(parameter) for parameter in model.parameters()}
    rows = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))[:EXAMPLES]
    device = device_of(model)
    with evaluation(model), torch.enable_grad():
        for part in rows.split(_BATCH):
            batch = examples[part].to(device)
            model.zero_grad(set_to_none=True)
            true_loss(model(as_floats(batch.inputs)), batch.targets).backward()
            for parameter in model.parameters():
                if parameter.grad is not None:
                    saliency[parameter] += (parameter.detach() * parameter.grad).square()
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for parameter, total in saliency.items():
            parameter.copy_(total)


def _is_scaled(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine
