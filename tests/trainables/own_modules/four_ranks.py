"""What each process of the pipeline test runs: a mesh of four, then a group of two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainables import TrainConfig, Worker, join_group, leave_group, load_data
from trainables.evaluation import measure
from trainables.objectives import cross_entropy
from trainables.parallel.engine import make_engine

Trials = dict[str, dict[str, Any]]


def run(rank: int, folder: Path, trials: dict[int, Trials]) -> None:
    """trials: by the number of workers, then by name."""
    torch.set_num_threads(1)
    for size, named in trials.items():
        if rank < size:
            group = join_group(rank, size, f"file://{folder}/meeting-{size}")
            worker = Worker(group)
            results = {name: attempt(worker, name, config, folder) for name, config in named.items()}
            torch.save(results, folder / f"{size}-{rank}.pt")
            leave_group()


def attempt(worker: Worker, name: str, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A whole training, saved after its first epoch for others to go on from; then what is left of it."""
    own = folder / f"{name}-of-{worker.group.size}"
    if name == "interrupted":
        return interrupted(worker, config, str(own))
    if name == "gradients":
        return gradients(worker, config)
    if (folder / name / "last.pt").exists():
        own = folder / name
    worker.begin(config, str(own), save_at=[1])
    return finish(worker)


def finish(worker: Worker) -> dict[str, Any]:
    """The training's metrics, the whole model at its end, what this rank held of it, and how it does on test images."""
    metrics = [worker.epoch()]
    while not worker.finished:
        metrics.append(worker.epoch())
    trainer = worker.trainer
    held = [name for name, _ in trainer.model.named_parameters()]
    optimized = sum(len(group["params"]) for group in trainer.optimizer.param_groups)
    state = trainer.state_dict()
    trainer.model.eval()
    result = measure(trainer.engine.logits, load_data(trainer.config.data).test, trainer.group)
    test = [result.loss, result.accuracy]
    return {"metrics": metrics, "state": state["model"], "held": held, "optimized": optimized, "test": test}


def interrupted(worker: Worker, config: dict[str, Any], folder: str) -> dict[str, Any]:
    worker.begin(config, folder, save_at=[1])
    worker.epoch()
    worker.begin(config, folder, known_epochs=1)
    return finish(worker)


def gradients(worker: Worker, config: dict[str, Any]) -> dict[str, Any]:
    """Of one batch of 23 rows, which no number of micro-batches divides, beside those of the whole model here."""
    checked = TrainConfig.model_validate(config)
    group = worker.group.staged(checked.parallel.stages)
    torch.manual_seed(0)
    rows, labels = torch.rand(23, 4), torch.randint(0, 3, (23,))
    whole = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    copied = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    copied.load_state_dict(whole.state_dict())
    engine = make_engine(copied, cross_entropy, checked, group, (4,))
    mine = group.share(23)
    engine.backward(rows[mine], labels[mine], 1 / 23)
    engine.sync_gradients()
    cross_entropy(whole(rows), labels, rows).backward()
    pairs = [(p.grad, whole.get_parameter(name).grad) for name, p in engine.module.named_parameters()]
    expected = torch.nn.utils.get_total_norm([p.grad for p in whole.parameters() if p.grad is not None])
    return {"pairs": pairs, "norm": (engine.gradient_norm(), expected)}
