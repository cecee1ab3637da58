"""Several workers on one model."""

from trainables.parallel.ddp import SOLO, Group, free_address, join_group, leave_group

__all__ = ["SOLO", "Group", "free_address", "join_group", "leave_group"]
