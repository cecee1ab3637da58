"""What each process of the group test runs: one group, several trials after each other."""

from pathlib import Path
from typing import Any

import torch

from trainables import CheckpointError, Diverged, Worker, evaluate, join_group, leave_group, load_data


def run(rank: int, folder: Path, trials: dict[str, dict[str, Any]]) -> None:
    """Every trial by its name; then the one named "dropout" again, interrupted and from a damaged checkpoint."""
    torch.set_num_threads(1)
    worker = Worker(join_group(rank, 2, f"file://{folder}/meeting"))
    results = {name: attempt(worker, config) for name, config in trials.items()}
    own_folder = folder / f"seen-by-rank-{rank}"
    results["interrupted"] = interrupted(worker, trials["dropout"], str(own_folder), known=1)
    results["report lost"] = interrupted(worker, trials["dropout"], f"{own_folder}-0", known=0)
    leave(worker, trials["whole recipe"], str(folder / "left"))
    results["checkpoint lost"] = interrupted(worker, trials["dropout"], None, known=1)
    if rank == 0:
        for checkpoint in own_folder.glob("*.pt"):
            checkpoint.write_bytes(b"damaged")
    results["damaged"] = refused(worker, trials["dropout"], str(own_folder))
    torch.save(results, folder / f"rank-{rank}.pt")
    leave_group()
    assert not torch.distributed.is_initialized()


def attempt(worker: Worker, config: dict[str, Any]) -> dict[str, Any]:
    """A trial that breaks must leave the group in step for those that follow, so it only tells where it broke."""
    worker.begin(config, None)
    try:
        return finish(worker)
    except Diverged as error:
        return {"diverged": (error.epoch, error.step)}


def finish(worker: Worker) -> dict[str, Any]:
    metrics = []
    while not worker.finished:
        metrics.append(worker.epoch())
    data = load_data(worker.trainer.config.data)
    state = {name: value.clone() for name, value in worker.trainer.model.state_dict().items()}
    return {"metrics": metrics, "state": state, "test": tuple(evaluate(worker.trainer.model, data.test, worker.group))}


def leave(worker: Worker, config: dict[str, Any], folder: str) -> None:
    """One epoch, saved for whoever goes on."""
    worker.begin(config, folder)
    worker.epoch()
    worker.save()


def refused(worker: Worker, config: dict[str, Any], folder: str) -> dict[str, Any]:
    try:
        worker.begin(config, folder)
    except CheckpointError as error:
        return {"error": str(error)}
    return {}


def interrupted(worker: Worker, config: dict[str, Any], folder: str | None, known: int) -> dict[str, Any]:
    """The same trial, left after its first epoch; each rank has a folder of its own, as without a shared disk."""
    worker.begin(config, folder)
    first = worker.epoch()
    worker.begin(config, folder, known)
    rest = finish(worker)
    return {**rest, "metrics": [first, *rest["metrics"]][-config["epochs"] :]}
