"""The search as it is usually written: Ray Tune's functions, OptunaSearch, ASHAScheduler, a DataLoader in each trial.

Model, optimiser and schedule are those of `trainables`, so that both ways train the same; everything around them is
plain Ray and torch with their defaults.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from benchmarks.fashion.task import CONCURRENT, METRIC, REDUCTION, SPACE, Task, load_saved
from search_spaces import Choice, LogUniform, Parameter, Uniform
from trainables import Schedule, Split, build_model, build_optimizer

REPORTS = "reports.json"
DATA = "data.pt"


class Clothes(Dataset[tuple[Tensor, Tensor]]):
    """Images one by one: to floats, a random crop out of a reflected border, a random mirror."""

    def __init__(self, split: Split, crop: int = 0, flip: float = 0.0) -> None:
        self.split, self.crop, self.flip = split, crop, flip

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.split.inputs[index].float() / 255
        if self.crop:
            height, width = image.shape[1:]
            top, left = torch.randint(0, 2 * self.crop + 1, (2,)).tolist()
            padded = functional.pad(image[None], (self.crop,) * 4, mode="reflect")[0]
            image = padded[:, top : top + height, left : left + width]
        if self.flip and torch.rand(()) < self.flip:
            image = image.flip(-1)
        return image, self.split.targets[index]


def train(config: dict[str, Any], task: Task) -> None:
    """One trial, in a process of its own."""
    checked = task.train_config(config)
    data = load_saved(Path(task.folder) / DATA)
    torch.manual_seed(checked.seed)
    model = build_model(checked.model, data)
    optimizer = build_optimizer(model, checked.optimizer)
    images = Clothes(data.train, checked.augment.crop, checked.augment.flip)
    batches = DataLoader(images, checked.batch_size, shuffle=True)
    schedule = Schedule(
        optimizer, checked.schedule, lr=checked.optimizer.lr, epochs=checked.epochs, steps_per_epoch=len(batches)
    )
    validation = DataLoader(Clothes(data.validation), 512)
    for epoch in range(1, checked.epochs + 1):
        started = time.perf_counter()
        model.train()
        for inputs, labels in batches:
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            schedule.step()
        trained = time.perf_counter() - started
        tune.report({"epoch": epoch, METRIC: accuracy(model, validation), "train": trained})


@torch.inference_mode()
def accuracy(model: nn.Module, batches: DataLoader[tuple[Tensor, Tensor]]) -> float:
    """The fraction of images that get their class."""
    model.eval()
    right = [(model(inputs).argmax(1) == labels).float().mean() * len(labels) for inputs, labels in batches]
    return float(torch.stack(right).sum()) / sum(len(labels) for _, labels in batches)


class Reports(tune.Callback):
    """When each epoch reached the driver."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        self.rows.append({"time": time.time(), METRIC: result[METRIC], "train": result["train"]})


def ray_space() -> dict[str, Any]:
    """The same space in Ray Tune's words."""
    return {name: _ray_domain(domain) for name, domain in SPACE.parameters.items()}


def _ray_domain(domain: Parameter) -> Any:
    match domain:
        case LogUniform():
            return tune.loguniform(domain.low, domain.high)
        case Uniform():
            return tune.uniform(domain.low, domain.high)
        case Choice():
            return tune.choice(list(domain.options))
    raise TypeError(f"Ray Tune's counterpart of {domain} is not needed here")


def main(task: Task) -> None:
    reports = Reports()
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, task=task), {"cpu": 1}),
        param_space=ray_space(),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            search_alg=OptunaSearch(seed=task.seed),
            scheduler=ASHAScheduler(time_attr="epoch", max_t=task.epochs, grace_period=1, reduction_factor=REDUCTION),
            num_samples=task.trials,
            max_concurrent_trials=CONCURRENT,
        ),
        run_config=tune.RunConfig(name="usual", storage_path=task.folder, callbacks=[reports], verbose=0),
    )
    tuner.fit()
    (Path(task.folder) / REPORTS).write_text(json.dumps(reports.rows))


if __name__ == "__main__":
    main(Task.from_json(sys.argv[1]))
