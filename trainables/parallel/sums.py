"""The sums and means that the replicas of a model make together.

Gradients are summed explicitly as one flat tensor: a short last batch, of which ranks get unequal shares or
none, then needs no special case, and the weighted sum is the gradient of the global batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trainables.model_state import has_values
from trainables.parallel.ddp import Group


def sum_gradients(parameters: Iterable[nn.Parameter], group: Group) -> None:
    """Add up every replica's gradients, dense from then on. What has none on any replica has none afterwards either:
    an optimiser would decay it, and move it by its momentum."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is not None and parameter.grad.layout is not torch.strided:
            parameter.grad = parameter.grad.to_dense()
    if group.replicas == 1 or not trained:
        return
    have = [parameter.grad is not None for parameter in trained]
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
    # Of each parameter the number of replicas that have its gradient travels with the gradients.
    counts = torch.ones(len(have), device=group.device)
    if not all(have):
        counts.copy_(torch.tensor(have))
    _all_sum_flat([counts, *gradients], group)
    # A replica that has all of them need not look at the counts: on a GPU it would wait for them.
    found = have if all(have) else counts.tolist()
    for parameter, gradient, count in zip(trained, gradients, found, strict=True):
        parameter.grad = gradient if count else None


@torch.no_grad()
def average_buffers(model: nn.Module, group: Group) -> None:
    """Make buffers one that differ between replicas, and parameters that are not trained but changed all the same.

    Statistics, which are real or complex, become their mean; counters become the first replica's. What is the same on
    every replica, such as a mask, stays as it is, bit for bit.
    """
    if group.replicas == 1:
        return
    held = [*model.buffers(), *(one for one in model.parameters() if not one.requires_grad)]
    apart = _different([one for one in held if has_values(one)], group)
    statistics = [one for one in apart if one.is_floating_point() or one.is_complex()]
    # As double precision, so that the mean of equal numbers is that number; divided first, so that none is too large.
    shares = [_real(one).double() / group.replicas for one in statistics]
    _all_sum_flat(shares, group)
    for one, mean in zip(statistics, shares, strict=True):
        _real(one).copy_(mean)
    _copy_first([one for one in apart if not (one.is_floating_point() or one.is_complex())], group)


@torch.no_grad()
def copy_from_first(model: nn.Module, group: Group) -> None:
    """The first replica's parameters and buffers in every other."""
    if group.replicas > 1:
        _copy_first([one for one in (*model.parameters(), *model.buffers()) if has_values(one)], group)


def _different(tensors: Sequence[Tensor], group: Group) -> list[Tensor]:
    """Those of which some replica has other bits than the first."""
    if not tensors:
        return []
    mine = [_bytes(one) for one in tensors]
    first = torch.cat(mine)
    dist.broadcast(first, group=group.peers, group_src=0)
    firsts = torch.split_with_sizes(first, [len(one) for one in mine])
    differs = torch.stack([(one != its).any() for one, its in zip(mine, firsts, strict=True)]).int()
    dist.all_reduce(differs, dist.ReduceOp.MAX, group=group.peers)
    return [one for one, other in zip(tensors, differs.tolist(), strict=True) if other]


def _copy_first(tensors: Iterable[Tensor], group: Group) -> None:
    """As bytes, since not every type of number can be sent."""
    for tensor in tensors:
        sent = _bytes(tensor).clone()
        dist.broadcast(sent, group=group.peers, group_src=0)
        tensor.copy_(sent.view(tensor.dtype).view(tensor.shape))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)


def _real(tensor: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones, in the same memory."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


@torch.no_grad()
def _all_sum_flat(tensors: Iterable[Tensor], group: Group) -> None:
    """The sums over replicas, written back in place, as one message for each type of number."""
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for tensor in map(_real, tensors):
        by_type.setdefault(tensor.dtype, []).append(tensor)
    for alike in by_type.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in alike])
        dist.all_reduce(flat, group=group.peers)
        totals = torch.split_with_sizes(flat, [tensor.numel() for tensor in alike])
        for tensor, total in zip(alike, totals, strict=True):
            tensor.copy_(total.view(tensor.shape))
