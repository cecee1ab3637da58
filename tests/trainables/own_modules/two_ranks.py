"""What each process of the group test runs: one group, several trials after each other."""

from pathlib import Path
from typing import Any

import torch

from trainables import CheckpointError, Diverged, Worker, evaluate, join_group, leave_group, load_data


def run(rank: int, folder: Path, trials: list[dict[str, Any]], diverging: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    group = join_group(rank, 2, f"file://{folder}/meeting")
    worker = Worker(group)
    results = []
    for index, config in enumerate(trials):
        worker.begin(config, None)
        results.append(finish(worker))
        if index == 0:
            # A trial that breaks must leave the group in step for those that follow.
            worker.begin(diverging, None)
            results.append({"diverged": diverged(worker)})
    own_folder = folder / f"seen-by-rank-{rank}"
    results.append(interrupted(worker, trials[-1], str(own_folder)))
    if rank == 0:
        (own_folder / "last.pt").write_bytes(b"damaged")
    results.append({"refused": refused(worker, trials[-1], str(own_folder))})
    torch.save(results, folder / f"rank-{rank}.pt")
    leave_group()
    assert not torch.distributed.is_initialized()


def finish(worker: Worker) -> dict[str, Any]:
    metrics = []
    while not worker.finished:
        metrics.append(worker.epoch())
    data = load_data(worker.trainer.config.data)
    state = {name: value.clone() for name, value in worker.trainer.model.state_dict().items()}
    return {"metrics": metrics, "state": state, "test": evaluate(worker.trainer.model, data.test, worker.group)}


def diverged(worker: Worker) -> tuple[int, int]:
    try:
        finish(worker)
    except Diverged as error:
        return error.epoch, error.step
    return 0, 0


def refused(worker: Worker, config: dict[str, Any], folder: str) -> str:
    try:
        worker.begin(config, folder)
    except CheckpointError as error:
        return str(error)
    return ""


def interrupted(worker: Worker, config: dict[str, Any], folder: str) -> dict[str, Any]:
    """The same trial, left after its first epoch; each rank has a folder of its own, as without a shared disk."""
    worker.begin(config, folder)
    first = worker.epoch()
    worker.begin(config, folder)
    rest = finish(worker)
    return {**rest, "metrics": [first, *rest["metrics"]]}
