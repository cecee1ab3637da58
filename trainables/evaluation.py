"""How good a model is on a part of the data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data import Split, as_floats
from trainables.parallel.ddp import SOLO, Group, all_sum

_BATCH = 512


def evaluate(model: nn.Module, split: Split, group: Group = SOLO) -> tuple[float, float]:
    """Mean cross entropy and accuracy (fraction) over the split, of which each rank takes its part."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        return measure(model, split.to(device), group)
    finally:
        model.train(was_training)


@torch.inference_mode()
def measure(logits_of: Callable[[Tensor], Tensor | None], split: Split, group: Group) -> tuple[float, float]:
    """As `evaluate`, of what gives the logits of a batch, or None on a rank where they do not come out."""
    mine, totals = group.share(len(split)), torch.zeros(2, dtype=torch.float64, device=group.device)
    for start in range(mine.start, mine.stop, _BATCH):
        rows = slice(start, min(start + _BATCH, mine.stop))
        logits = logits_of(as_floats(split.inputs[rows]))
        if logits is not None:
            totals[0] += functional.cross_entropy(logits, split.targets[rows], reduction="sum")
            totals[1] += (logits.argmax(1) == split.targets[rows]).sum()
    loss, correct = all_sum(totals, group).tolist()
    return loss / len(split), correct / len(split)
