"""What each process of a group runs that trains students."""

from pathlib import Path
from typing import Any

import torch

from trainables import DataConfig, TrainConfig, build_model, join_group, leave_group, load_data
from trainables.compress import Parent, PruneError, StudentConfig, StudentTrainer


def run(rank: int, folder: Path, settings: dict[str, Any]) -> None:
    """A student that cannot be made, then one that can, of a parent that only the first rank has right."""
    torch.set_num_threads(1)
    group = join_group(rank, 2, f"file://{folder}/meeting")
    data, train = load_data(DataConfig()), TrainConfig.of({"model": {"name": "mlp", "width": 32}})
    torch.manual_seed(rank)
    parent = Parent(build_model(train.model, data), train)
    reason = ""
    try:
        list(StudentTrainer(parent, data, StudentConfig(keep_macs=0.001), group=group).epochs())
    except PruneError as error:
        reason = str(error)
    teacher = build_model(train.model, data)
    student = StudentTrainer(parent, data, StudentConfig.model_validate(settings), teacher=teacher, group=group)
    losses = [metrics.val_loss for metrics in student.epochs()]
    found = {"reason": reason, "losses": losses, "widths": student.widths, "state": student.model.state_dict()}
    torch.save(found, folder / f"rank-{rank}.pt")
    leave_group()
