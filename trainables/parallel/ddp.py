"""Data parallelism: who the workers of a trial are, and the sums they make together.

Gradients are summed explicitly as one flat tensor: a short last batch, of which ranks get unequal shares or
none, then needs no special case, and the weighted sum is the gradient of the global batch.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

# A rank that died without closing its sockets must become an error of the others, not an endless wait.
_TIMEOUT = timedelta(minutes=5)


def pick_device() -> torch.device:
    """The first visible GPU, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


@dataclass(frozen=True)
class Group:
    """This process among the `size` processes that train one model."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=pick_device)

    def share(self, n: int) -> slice:
        """This rank's contiguous part of n rows, of two at least if not empty: BatchNorm needs two."""
        sharing = max(1, min(self.size, n // 2))
        if self.rank >= sharing:
            return slice(n, n)
        return slice(n * self.rank // sharing, n * (self.rank + 1) // sharing)


SOLO = Group()


def free_address(host: str = "127.0.0.1") -> str:
    """A "host:port" of this machine that is free now, for rank 0 to listen at."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


def join_group(rank: int, size: int, address: str, device: torch.device | None = None) -> Group:
    """Meets the other ranks at rank 0's "host:port", or at any init method of torch.distributed ("file:///…")."""
    device = device or pick_device()
    if size > 1:
        gpu = device.type == "cuda"
        if gpu:
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if gpu else "gloo",
            init_method=address if "://" in address else f"tcp://{address}",
            rank=rank,
            world_size=size,
            timeout=_TIMEOUT,
        )
    return Group(rank, size, device)


def leave_group() -> None:
    """Leaves the group joined before; nothing happens where there is none."""
    if dist.is_initialized():
        dist.destroy_process_group()


def all_sum(values: Tensor, group: Group) -> Tensor:
    """The sum of every rank's `values`, in place."""
    if group.size > 1:
        dist.all_reduce(values)
    return values


def sum_gradients(parameters: Iterable[nn.Parameter], group: Group) -> None:
    """Every rank's gradients added up; a rank without a gradient adds zeros."""
    if group.size == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    _all_sum_flat([parameter.grad for parameter in trained if parameter.grad is not None], 1.0)


def average_buffers(model: nn.Module, group: Group) -> None:
    """One set of BatchNorm statistics from those that each rank saw; counters are taken from rank 0."""
    if group.size == 1:
        return
    _all_sum_flat([buffer for buffer in model.buffers() if buffer.is_floating_point()], 1 / group.size)
    for buffer in model.buffers():
        if not buffer.is_floating_point():
            dist.broadcast(buffer, src=0)


def copy_from_first(model: nn.Module, group: Group) -> None:
    """Rank 0's weights and buffers in every rank."""
    if group.size > 1:
        for value in model.state_dict().values():
            dist.broadcast(value, src=0)


def broadcast(value: Any, group: Group) -> Any:
    """Rank 0's `value` in every rank."""
    if group.size == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=group.device)
    return box[0]


def _all_sum_flat(tensors: list[Tensor], scale: float) -> None:
    """The scaled sums over ranks, written back in place, as one message."""
    if not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    totals = torch.split_with_sizes(flat.mul_(scale), [tensor.numel() for tensor in tensors])
    for tensor, total in zip(tensors, totals, strict=True):
        tensor.copy_(total.view_as(tensor))
