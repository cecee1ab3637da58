"""Two real processes in one group, several trials after each other, against the same trials in one process."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from trainables import Group, TrainConfig, Worker, free_address, join_group, leave_group

AUGMENT = {"rotate": 10, "shift": 0.1, "flip": 0.2, "crop": 1}
OWN_MODEL = {"model": {"name": "own_model:Perceptron"}, "augment": AUGMENT, "epochs": 2}
MLP = {"model": {"name": "mlp", "width": 16}, "augment": AUGMENT}
# By the images that the batch size leaves over of 1,079: some, one (it joins the batch before it), and three, which
# are too few for two ranks, so that the second has none.
REMAINDERS = {"rest of 55": 64, "rest of 1": 77, "rest of 3": 269}
RECIPE = {
    **{"augment": AUGMENT | {"mixup": 0.4, "cutmix": 1.0}, "label_smoothing": 0.1, "accumulate": 2, "ema": 0.9},
    **{"optimizer": {"clip_norm": 0.5, "lr_scaling": "linear"}, "schedule": {"name": "one_cycle"}},
}
TRIALS: dict[str, dict[str, Any]] = {
    "diverging": OWN_MODEL | {"optimizer": {"lr": 1e38}},
    **{name: OWN_MODEL | {"batch_size": size} for name, size in REMAINDERS.items()},
    "whole recipe": OWN_MODEL | RECIPE,
    "batch norm": MLP | {"epochs": 1, "optimizer": {"lr": 1e-12}},
    "dropout": MLP | {"model": {"name": "mlp", "width": 16, "dropout": 0.3}, "epochs": 2, "batch_size": 269},
}
INTERRUPTED = ("interrupted", "report lost", "checkpoint lost")
Results = dict[str, dict[str, Any]]


def configured(name: str) -> dict[str, Any]:
    return TrainConfig.of(TRIALS[name]).model_dump(mode="json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("group")


@pytest.fixture(scope="module")
def ranks(own_modules: None, folder: Path) -> tuple[Results, Results]:
    """Both ranks' results by trial."""
    two_ranks = importlib.import_module("two_ranks")
    mp.spawn(two_ranks.run, (folder, {name: configured(name) for name in TRIALS}), nprocs=2)
    first, second = (torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    return first, second


def alone(name: str) -> dict[str, Any]:
    """The same trial in this one process."""
    worker = Worker()
    worker.begin(configured(name), None)
    result: dict[str, Any] = importlib.import_module("two_ranks").finish(worker)
    return result


def timeless(result: dict[str, Any]) -> list[dict[str, Any]]:
    kept = ("epoch", "finished")
    metrics = [{**epoch["metrics"], "images_per_second": 0.0} for epoch in result["metrics"]]
    return [{**{key: epoch[key] for key in kept}, **own} for epoch, own in zip(result["metrics"], metrics, strict=True)]


@pytest.mark.parametrize("trial", [*REMAINDERS, "whole recipe", "batch norm", "dropout", *INTERRUPTED])
def test_ranks_end_with_the_same_weights_and_metrics(ranks: tuple[Results, Results], trial: str) -> None:
    first, second = (results[trial] for results in ranks)
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    assert first["test"] == second["test"]
    assert timeless(first) == timeless(second)


@pytest.mark.parametrize("trial", [*REMAINDERS, "whole recipe"])
def test_two_processes_equal_one(ranks: tuple[Results, Results], trial: str) -> None:
    one, both = alone(trial), ranks[0][trial]
    for name, value in one["state"].items():
        assert torch.allclose(value, both["state"][name], rtol=0, atol=1e-5), name
    for expected, got in zip(timeless(one), timeless(both), strict=True):
        assert got == pytest.approx(expected, abs=1e-5)
    assert both["test"] == pytest.approx(one["test"], abs=1e-5)


def test_batch_norm_statistics_come_from_all_ranks(ranks: tuple[Results, Results]) -> None:
    """With weights that stand still, the mean over ranks is the mean over images, but for the last, uneven batch."""
    one, both = alone("batch norm")["state"], ranks[0]["batch norm"]["state"]
    first = next(name for name in one if name.endswith("running_mean"))
    assert torch.allclose(one[first], both[first], rtol=0, atol=2e-3)


@pytest.mark.parametrize("trial", INTERRUPTED)
def test_a_resumed_trial_of_two_ranks_is_bit_for_bit_the_uninterrupted_one(
    ranks: tuple[Results, Results], trial: str
) -> None:
    for results in ranks:
        whole, resumed = results["dropout"], results[trial]
        assert timeless(whole) == timeless(resumed)
        for name, value in whole["state"].items():
            assert torch.equal(value, resumed["state"][name]), name


@pytest.mark.usefixtures("ranks")
def test_one_process_goes_on_where_two_were(folder: Path) -> None:
    worker = Worker()
    worker.begin(configured("whole recipe"), str(folder / "left"))
    resumed = importlib.import_module("two_ranks").finish(worker)
    for expected, got in zip(timeless(alone("whole recipe")), timeless(resumed), strict=True):
        assert got == pytest.approx(expected, abs=1e-5)


def test_every_rank_learns_of_a_divergence_at_the_same_step(ranks: tuple[Results, Results]) -> None:
    first, second = (results["diverging"]["diverged"] for results in ranks)
    assert first == second
    assert first[0] == 1


def test_every_rank_refuses_a_checkpoint_that_is_damaged_for_the_first(ranks: tuple[Results, Results]) -> None:
    for results in ranks:
        assert "seen-by-rank-0/previous.pt is not a whole checkpoint" in results["damaged"]["error"]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 16, 17, 64])
def test_shares_cover_every_row_once_and_none_is_of_one(n: int, size: int) -> None:
    shares = [list(range(n))[Group(rank, size).share(n)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(n))
    assert n < 2 or all(len(share) != 1 for share in shares)


def test_a_group_of_one_needs_no_processes() -> None:
    group = join_group(0, 1, free_address())
    assert (group.rank, group.size) == (0, 1)
    assert not torch.distributed.is_initialized()
    leave_group()
    leave_group()
