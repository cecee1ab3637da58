"""The workers of a trial as a group of processes, and what they tell each other."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

# A rank that died without closing its sockets must become an error of the others, not an endless wait.
_TIMEOUT = timedelta(minutes=5)


def pick_device() -> torch.device:
    """The first visible GPU, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


@dataclass(frozen=True)
class Group:
    """This process among the `size` processes that train one model.

    Where a model is cut into `stages`, one process each, that many ranks after each other are a replica of it.

    Attributes:
        peers: the process group of the ranks that hold the same stage, in the order of replicas; None is all ranks.
        line: the process group of this replica's ranks, in the order of stages; None where there is one stage.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=pick_device)
    stages: int = 1
    peers: ProcessGroup | None = field(default=None, repr=False, compare=False)
    line: ProcessGroup | None = field(default=None, repr=False, compare=False)

    @property
    def replicas(self) -> int:
        return self.size // self.stages

    @property
    def replica(self) -> int:
        return self.rank // self.stages

    @property
    def stage(self) -> int:
        return self.rank % self.stages

    def share(self, n: int) -> slice:
        """This replica's contiguous part of n rows, of two at least if not empty: BatchNorm needs two."""
        sharing = max(1, min(self.replicas, n // 2))
        if self.replica >= sharing:
            return slice(n, n)
        return slice(n * self.replica // sharing, n * (self.replica + 1) // sharing)

    def staged(self, stages: int) -> Group:
        """The same processes as a mesh of replicas and stages. Every rank calls it. Raises ValueError."""
        if self.size % stages:
            rule = "the number of workers must be a multiple of parallel.stages"
            raise ValueError(f"{rule}, {stages}, but got {self.size}")
        if stages == 1:
            return Group(self.rank, self.size, self.device)
        peers, line = _process_groups(self.size, stages)
        return replace(self, stages=stages, peers=peers, line=line)


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
    _process_groups.cache_clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def all_sum(values: Tensor, group: Group) -> Tensor:
    """The sum of every rank's `values`, in place."""
    if group.size > 1:
        dist.all_reduce(values)
    return values


def broadcast(value: Any, group: Group) -> Any:
    """Rank 0's `value` in every rank."""
    if group.size == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=group.device)
    return box[0]


@lru_cache
def _process_groups(size: int, stages: int) -> tuple[ProcessGroup, ProcessGroup]:
    """This rank's peers and line (see Group); kept while the group lasts, since they are not given back."""
    same_stage = [list(range(stage, size, stages)) for stage in range(stages)]
    same_replica = [list(range(first, first + stages)) for first in range(0, size, stages)]
    peers, _ = dist.new_subgroups_by_enumeration(same_stage, timeout=_TIMEOUT)
    line, _ = dist.new_subgroups_by_enumeration(same_replica, timeout=_TIMEOUT)
    return peers, line
