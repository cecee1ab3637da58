"""Two real processes in one group, several trials after each other, against the same trials in one process."""

import importlib
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from trainables import Group, TrainConfig, Worker, free_address, join_group, leave_group

AUGMENT = {"rotate": 10, "shift": 0.1, "flip": 0.2, "crop": 1}
# 269 leaves three images over: too few for two ranks, so the second has none. 77 leaves one, 64 leaves 55.
TRIALS = [
    {"model": {"name": "own_model:Perceptron"}, "augment": AUGMENT, "epochs": 2, "batch_size": batch_size}
    for batch_size in (64, 77, 269)
] + [{"model": {"name": "mlp", "width": 16, "dropout": 0.3}, "augment": AUGMENT, "epochs": 2, "batch_size": 269}]
DIVERGING = {"model": {"name": "own_model:Perceptron"}, "optimizer": {"lr": 1e38}, "epochs": 2}
# Where each trial's result is: the diverging one runs second, after all trials come the last one's interrupted twin
# and an attempt to resume it from a damaged file.
OWN_MODEL, DIVERGED, BATCH_NORM, INTERRUPTED, REFUSED = (0, 2, 3), 1, 4, 5, 6


def configured(base: dict[str, Any]) -> dict[str, Any]:
    return TrainConfig.of(base).model_dump(mode="json")


@pytest.fixture(scope="module")
def ranks(own_modules: None, tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """Both ranks' results, trial by trial."""
    folder = tmp_path_factory.mktemp("group")
    two_ranks = importlib.import_module("two_ranks")
    mp.spawn(two_ranks.run, (folder, [configured(trial) for trial in TRIALS], configured(DIVERGING)), nprocs=2)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("trial", [*OWN_MODEL, BATCH_NORM, INTERRUPTED])
def test_ranks_end_with_the_same_weights_and_metrics(ranks, trial: int) -> None:
    first, second = (results[trial] for results in ranks)
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    assert first["test"] == second["test"]
    for one, other in zip(first["metrics"], second["metrics"], strict=True):
        assert (one["train_loss"], one["val_loss"], one["finished"]) == (
            other["train_loss"],
            other["val_loss"],
            other["finished"],
        )


@pytest.mark.parametrize(("trial", "result"), list(zip((0, 1, 2), OWN_MODEL, strict=True)))
def test_two_processes_equal_one(ranks, trial: int, result: int) -> None:
    worker = Worker()
    worker.begin(configured(TRIALS[trial]), None)
    alone = importlib.import_module("two_ranks").finish(worker)
    both = ranks[0][result]
    for name, value in alone["state"].items():
        assert torch.allclose(value, both["state"][name], rtol=0, atol=1e-5), name
    for one, two in zip(alone["metrics"], both["metrics"], strict=True):
        for key in ("epoch", "train_loss", "val_loss", "val_accuracy", "lr"):
            assert one[key] == pytest.approx(two[key], abs=1e-5)
    assert alone["test"] == pytest.approx(both["test"], abs=1e-5)


def test_a_resumed_trial_of_two_ranks_is_bit_for_bit_the_uninterrupted_one(ranks) -> None:
    whole, resumed = ranks[0][BATCH_NORM], ranks[0][INTERRUPTED]
    for name, value in whole["state"].items():
        assert torch.equal(value, resumed["state"][name]), name
    for one, other in zip(whole["metrics"], resumed["metrics"], strict=True):
        assert (one["epoch"], one["train_loss"], one["val_loss"]) == (
            other["epoch"],
            other["train_loss"],
            other["val_loss"],
        )


def test_batch_norm_statistics_come_from_all_ranks(ranks) -> None:
    """One process has other batches under its statistics, so it is near, not equal."""
    worker = Worker()
    worker.begin(configured(TRIALS[3]), None)
    alone = importlib.import_module("two_ranks").finish(worker)
    assert alone["metrics"][-1]["val_accuracy"] == pytest.approx(
        ranks[0][BATCH_NORM]["metrics"][-1]["val_accuracy"], abs=0.1
    )


def test_every_rank_learns_of_a_divergence_at_the_same_step(ranks) -> None:
    first, second = (results[DIVERGED]["diverged"] for results in ranks)
    assert first == second
    assert first[0] >= 1


def test_every_rank_refuses_a_checkpoint_that_is_damaged_for_the_first(ranks) -> None:
    for results in ranks:
        assert "seen-by-rank-0/last.pt is not a whole checkpoint" in results[REFUSED]["refused"]


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
