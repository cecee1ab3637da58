"""Models cut into stages, in real processes, against the same trainings in one process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from trainables import TrainConfig, Worker, load_checkpoint

AUGMENT = {"rotate": 10, "shift": 0.1, "flip": 0.2, "crop": 1}
# 1,079 training images leave 359 over of 360: micro-batches of 90 and of 89 rows.
STACK = {"model": {"name": "own_model:Stack"}, "augment": AUGMENT, "epochs": 3, "batch_size": 360}
RECIPE = STACK | {
    "augment": {"mixup": 0.4},
    "accumulate": 2,
    "ema": 0.8,
    "optimizer": {"name": "adamw", "lr": 0.01, "clip_norm": 0.3},
    "label_smoothing": 0.1,
}
DECAY = {"optimizer": {"weight_decay": 0.5, "clip_norm": 0.5}, "ema": 0.8, "epochs": 2}
PARTLY = STACK | DECAY | {"model": {"name": "own_model:Partly"}}
FROZEN = STACK | DECAY | {"model": {"name": "own_model:FrozenStage"}}
BASES = {"recipe": RECIPE, "partly": PARTLY, "frozen": FROZEN}
DROPOUT = STACK | {"model": {"name": "own_model:Stack", "dropout": 0.3}, "epochs": 2}


def cut(base: dict[str, Any], stages: int, **parallel: Any) -> dict[str, Any]:
    return TrainConfig.of({**base, "parallel": {"stages": stages, **parallel}}).model_dump(mode="json")


TRIALS: dict[int, dict[str, dict[str, Any]]] = {
    2: {
        "gradients": cut(STACK, 2),
        "gpipe": cut(STACK, 2),
        "1f1b": cut(STACK, 2, schedule="1f1b", micro_batches=3),
        "by time": cut(STACK, 2, balance="time"),
        "recipe": cut(RECIPE, 2),
        "partly": cut(PARTLY, 2),
        "frozen": cut(FROZEN, 2),
        "dropout": cut(DROPOUT, 2),
        "interrupted": cut(DROPOUT, 2),
        "saved alone": cut(STACK, 2, cut=["3"]),
        "batch norm": cut(
            {"model": {"name": "mlp", "width": 16}, "batch_size": 360, "epochs": 1, "optimizer": {"lr": 1e-12}}, 2
        ),
    },
    4: {
        "gradients": cut(STACK, 2),
        "mesh": cut(STACK, 2, schedule="1f1b"),
        "recipe": cut(RECIPE, 2, schedule="1f1b"),
        "partly": cut(PARTLY, 2),
        "frozen": cut(FROZEN, 2, schedule="1f1b"),
        "four stages": cut(STACK, 4, schedule="1f1b", cut=["2.0", "2.2", "3"]),
    },
}
WHOLE = [(2, "gpipe"), (2, "1f1b"), (2, "by time"), (2, "saved alone"), (4, "mesh"), (4, "four stages")]
WHOLE += [(size, trial) for size in (2, 4) for trial in BASES]
Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(own_modules: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of checkpoints; that of one process's first epoch is there before others begin."""
    made = tmp_path_factory.mktemp("ranks")
    worker = Worker()
    worker.begin(TrainConfig.of(STACK).model_dump(mode="json"), str(made / "saved alone"), save_at=[1])
    worker.epoch()
    return made


@pytest.fixture(scope="module")
def ranks(folder: Path) -> dict[int, list[Results]]:
    """By the number of workers, every rank's results by trial."""
    four_ranks = importlib.import_module("four_ranks")
    mp.spawn(four_ranks.run, (folder, TRIALS), nprocs=4)
    return {
        size: [torch.load(folder / f"{size}-{rank}.pt", weights_only=True) for rank in range(size)] for size in TRIALS
    }


@pytest.fixture(scope="module")
def alone(own_modules: None) -> Callable[[str], dict[str, Any]]:
    """The training that a trial is cut from, in this one process."""

    @lru_cache
    def whole(base: str) -> dict[str, Any]:
        worker = Worker()
        worker.begin(TrainConfig.of(BASES.get(base, STACK)).model_dump(mode="json"), None)
        result: dict[str, Any] = importlib.import_module("four_ranks").finish(worker)
        return result

    return lambda trial: whole(trial if trial in BASES else "")


def timeless(result: dict[str, Any]) -> list[dict[str, Any]]:
    kept = ("epoch", "finished")
    metrics = [{**epoch["metrics"], "images_per_second": 0.0} for epoch in result["metrics"]]
    return [{**{key: epoch[key] for key in kept}, **own} for epoch, own in zip(result["metrics"], metrics, strict=True)]


@pytest.mark.parametrize(("size", "trial"), WHOLE)
def test_stages_train_as_the_whole_model_does(
    ranks: dict[int, list[Results]], alone: Callable[[str], dict[str, Any]], size: int, trial: str
) -> None:
    whole = alone(trial)
    for results in ranks[size]:
        assert results[trial]["test"] == pytest.approx(whole["test"], abs=1e-4)
        for expected, got in zip(timeless(whole), timeless(results[trial]), strict=True):
            assert got == pytest.approx(expected, abs=1e-5)
        for name, value in whole["state"].items():
            got = results[trial]["state"][name]
            assert torch.equal(value, got) or torch.allclose(value, got, rtol=0, atol=2e-5), name


@pytest.mark.parametrize(("size", "trial"), [*WHOLE, (2, "dropout"), (2, "batch norm")])
def test_each_rank_holds_its_stage_only(ranks: dict[int, list[Results]], size: int, trial: str) -> None:
    held = [results[trial]["held"] for results in ranks[size]]
    stages = TRIALS[size][trial]["parallel"]["stages"]
    assert held[:stages] * (size // stages) == held
    together = [name for names in held[:stages] for name in names]
    assert len(together) == len(set(together))
    assert set(together) <= ranks[size][0][trial]["state"].keys()
    if trial not in ("partly", "frozen"):
        assert all(results[trial]["optimized"] == len(results[trial]["held"]) for results in ranks[size])


def test_stages_are_cut_where_the_config_says(ranks: dict[int, list[Results]]) -> None:
    held = [results["four stages"]["held"] for results in ranks[4]]
    assert [names[0] for names in held] == [
        "network.0.1.weight",
        "network.2.0.weight",
        "network.2.2.weight",
        "network.3.weight",
    ]


@pytest.mark.parametrize("size", TRIALS)
def test_gradients_and_their_norm_are_those_of_the_whole_model(ranks: dict[int, list[Results]], size: int) -> None:
    for results in ranks[size]:
        for got, expected in results["gradients"]["pairs"]:
            assert torch.allclose(got, expected, rtol=0, atol=1e-6)
        assert torch.allclose(*results["gradients"]["norm"], rtol=1e-5)


def test_every_rank_tells_the_same(ranks: dict[int, list[Results]]) -> None:
    for size, trials in TRIALS.items():
        for trial in trials.keys() - {"gradients"}:
            first, *others = ranks[size]
            assert all(timeless(results[trial]) == timeless(first[trial]) for results in others)


def test_an_interrupted_trial_of_stages_is_bit_for_bit_the_uninterrupted_one(ranks: dict[int, list[Results]]) -> None:
    for results in ranks[2]:
        whole, resumed = results["dropout"], results["interrupted"]
        assert timeless(whole)[1:] == timeless(resumed)
        for name, value in whole["state"].items():
            assert torch.equal(value, resumed["state"][name]), name


def test_a_checkpoint_of_stages_goes_on_in_one_process(
    ranks: dict[int, list[Results]], alone: Callable[[str], dict[str, Any]], folder: Path
) -> None:
    path = folder / "gpipe-of-2" / "last.pt"
    assert load_checkpoint(path)["trainer"]["model"].keys() == alone("gpipe")["state"].keys()
    worker = Worker()
    worker.begin(TrainConfig.of({**STACK, "epochs": 4}).model_dump(mode="json"), str(path.parent), known_epochs=3)
    assert worker.epoch()["epoch"] == 4


def test_batch_norm_statistics_move_once_a_micro_batch(ranks: dict[int, list[Results]], own_modules: None) -> None:
    """With weights that stand still they go the same way, by 4 x 3 steps of a tenth of what is left in place of 3."""
    worker = Worker()
    worker.begin(TRIALS[2]["batch norm"] | {"parallel": {"stages": 1}}, None)
    whole = importlib.import_module("four_ranks").finish(worker)["state"]
    staged = ranks[2][0]["batch norm"]["state"]
    first = next(name for name in whole if name.endswith("running_mean"))
    mean, means = whole[first] / (1 - 0.9**3), staged[first] / (1 - 0.9**12)
    assert mean.abs().max() > 0.2
    assert torch.allclose(mean, means, rtol=0, atol=0.02)
