from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainables import (
    CheckpointError,
    Diverged,
    TrainConfig,
    Worker,
    evaluate,
    load_checkpoint,
    load_data,
    save_checkpoint,
)
from trainables.worker import CHECKPOINT, TIMED, load_best

MLP = {"model": {"name": "mlp", "width": 16, "dropout": 0.3}, "augment": {"shift": 0.1}, "epochs": 3}
RESNET = {"model": {"name": "resnet", "width": 4}, "optimizer": {"name": "adam", "lr": 0.01}, "epochs": 2}


def config(base: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    return TrainConfig.of(base, overrides).model_dump(mode="json")


def run(worker: Worker) -> list[dict[str, Any]]:
    metrics = []
    while not worker.finished:
        metrics.append(timeless(worker.epoch()))
    return metrics


def timeless(epoch: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: value for name, value in epoch["metrics"].items() if name != "images_per_second"}
    return {"epoch": epoch["epoch"], "finished": epoch["finished"], **metrics}


def test_a_warm_worker_does_as_a_fresh_one(tmp_path: Path) -> None:
    warm, fresh = Worker(), Worker()
    warm.begin(config(RESNET), str(tmp_path / "other"))
    warm.epoch()
    warm.begin(config(MLP), None)
    fresh.begin(config(MLP), None)
    assert run(warm) == run(fresh)


def test_trials_in_turns_do_not_disturb_each_other() -> None:
    alone, one, other = Worker(), Worker(), Worker()
    alone.begin(config(MLP), None)
    one.begin(config(MLP), None)
    other.begin(config(MLP, seed=9), None)
    taken_in_turns = [(one.epoch()["metrics"]["train_loss"], other.epoch())[0] for _ in range(3)]
    assert taken_in_turns == [epoch["train_loss"] for epoch in run(alone)]


def test_goes_on_from_the_folders_checkpoint(tmp_path: Path) -> None:
    whole, before, after = Worker(), Worker(), Worker()
    whole.begin(config(MLP), None)
    expected = run(whole)
    before.begin(config(MLP), str(tmp_path))
    before.epoch()
    after.begin(config(MLP), str(tmp_path), known_epochs=1)
    assert run(after) == expected[1:]


@pytest.mark.parametrize("saved", [0, 1, 2, 3])
@pytest.mark.parametrize("known", [0, 1, 2, 3])
def test_whatever_was_saved_and_reported_the_rest_is_reported_once(tmp_path: Path, saved: int, known: int) -> None:
    whole, before, after = Worker(), Worker(), Worker()
    whole.begin(config(MLP), None)
    expected = run(whole)
    before.begin(config(MLP), str(tmp_path))
    for _ in range(saved):
        before.epoch()
    before.save()
    after.begin(config(MLP), str(tmp_path), known)
    if known < len(expected):
        assert run(after) == expected[known:]
    assert timeless(after.epoch()) == expected[-1]
    assert after.finished
    assert set(load_best(tmp_path / CHECKPOINT)[0].state_dict()) == set(after.trainer.model.state_dict())


def test_a_stored_report_is_given_without_training(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path), save_at=[2])
    lost = [worker.epoch(), worker.epoch()]
    worker.begin(config(MLP), str(tmp_path))
    again = [worker.epoch(), worker.epoch()]
    assert [epoch["timing"]["train"] for epoch in again] == [0, 0]
    assert [epoch | {"timing": None} for epoch in again] == [epoch | {"timing": None} for epoch in lost]
    assert worker.epoch()["timing"]["train"] > 0


def test_the_first_and_the_last_epoch_are_on_the_disk_when_reported(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path))
    assert not list(tmp_path.iterdir())
    for epoch in (1, 2, 3):
        reported = worker.epoch()
        assert reported["finished"] == (epoch == 3)
        if epoch == 2:
            continue
        saved = load_checkpoint(tmp_path / CHECKPOINT)
        assert (saved["trainer"]["epoch"], len(saved["history"]), saved["version"]) == (epoch, epoch, 3)
        assert TrainConfig.model_validate(saved["config"]) == TrainConfig.of(MLP)
        assert set(saved["trainer"]["best"]) == set(saved["trainer"]["model"])


@pytest.mark.parametrize(("seconds", "epochs"), [(0.0, [1, 2, 3, 4]), (1e6, [1, 4])])
def test_saves_as_often_as_costs_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, epochs: list[int]
) -> None:
    """Saving on a clock of its own, which is always free or always dear."""
    ticks, saved = count(), []
    monkeypatch.setattr("trainables.worker.time", SimpleNamespace(perf_counter=lambda: next(ticks) * seconds))
    worker = Worker()
    worker.begin(config(MLP, epochs=4), str(tmp_path))
    while not worker.finished:
        worker.epoch()
        saved.append(load_checkpoint(tmp_path / CHECKPOINT)["trainer"]["epoch"])
    assert sorted(set(saved)) == epochs


def test_a_trial_is_saved_where_it_may_be_stopped_for_good(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path / "left"), save_at=[2])
    worker.epoch()
    worker.epoch()
    assert load_checkpoint(tmp_path / "left" / CHECKPOINT)["trainer"]["epoch"] == 2


def test_a_trial_that_is_left_is_not_written_again(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path / "left"))
    worker.epoch()
    (tmp_path / "left" / CHECKPOINT).unlink()
    worker.begin(config(MLP), str(tmp_path / "next"))
    worker.epoch()
    assert not (tmp_path / "left" / CHECKPOINT).exists()


def test_a_trial_torn_within_an_epoch_is_not_saved(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(RESNET, **{"optimizer.name": "sgd", "optimizer.lr": 1e38}), str(tmp_path))
    with pytest.raises(Diverged):
        run(worker)
    worker.save()
    assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="call begin"):
        worker.epoch()


def test_time_is_told_by_what_it_went_into(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path))
    first, second = worker.epoch(), worker.epoch()
    for epoch in (first, second):
        assert tuple(epoch["timing"]) == TIMED
        assert epoch["timing"]["train"] + epoch["timing"]["evaluate"] == pytest.approx(epoch["seconds"])
        assert epoch["timing"]["evaluate"] > 0
    assert first["timing"]["build"] > 0
    assert first["timing"]["checkpoint"] > 0
    assert (second["timing"]["data"], second["timing"]["build"]) == (0, 0)


def test_nothing_is_written_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    worker = Worker()
    worker.begin(config(MLP), None)
    worker.epoch()
    assert not list(tmp_path.iterdir())


def test_a_finished_trial_trains_no_further_epoch(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP, epochs=1), str(tmp_path))
    only = worker.epoch()
    worker.begin(config(MLP, epochs=1), str(tmp_path), known_epochs=1)
    assert worker.finished
    assert timeless(worker.epoch()) == timeless(only)


def test_a_trial_may_be_prolonged(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP, epochs=1), str(tmp_path))
    worker.epoch()
    worker.begin(config(MLP, epochs=3), str(tmp_path))
    assert [(epoch["epoch"], epoch["finished"]) for epoch in run(worker)] == [(1, False), (2, False), (3, True)]


def test_another_configs_checkpoint_is_refused(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path))
    worker.epoch()
    with pytest.raises(CheckpointError, match=r"last\.pt was made with another seed, optimizer"):
        worker.begin(config(MLP, seed=1, **{"optimizer.lr": 0.3}), str(tmp_path))


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Write the checkpoint again after `edit`."""
    saved = load_checkpoint(path)
    edit(saved)
    save_checkpoint(path, saved)


def test_a_checkpoint_from_before_a_setting_was_added_is_taken(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP, epochs=1), str(tmp_path))
    worker.epoch()
    change(tmp_path / CHECKPOINT, lambda saved: [saved["config"]["data"].pop(name) for name in ("dates", "separator")])
    change(tmp_path / CHECKPOINT, lambda saved: saved["config"].pop("ema"))
    worker.begin(config(MLP, epochs=2), str(tmp_path))
    assert worker.epoch()["epoch"] == 1
    assert worker.finished is False


@pytest.mark.parametrize(
    ("mean", "reason"), [([[[1e9]]], "of other features"), ([[[0.3]], [[0.3]]], "of 2 features .* now have 1")]
)
def test_a_checkpoint_of_other_features_is_refused(tmp_path: Path, mean: Any, reason: str) -> None:
    """Those of a version that made others of the same table."""
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path))
    worker.epoch()
    change(tmp_path / CHECKPOINT, lambda saved: saved["trainer"]["best"].update({"normalize.mean": torch.tensor(mean)}))
    with pytest.raises(CheckpointError, match=rf"last\.pt was made {reason}.*start a new run"):
        worker.begin(config(MLP), str(tmp_path))
    with pytest.raises(CheckpointError, match=reason):
        load_best(tmp_path / CHECKPOINT)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / CHECKPOINT, {"version": 99})
    with pytest.raises(CheckpointError, match="has version 99, but this program reads 3"):
        Worker().begin(config(MLP), str(tmp_path))


def test_the_best_weights_come_back_as_a_model(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP, **{"optimizer.lr": 1.0, "schedule.name": "constant", "epochs": 6}), str(tmp_path))
    losses = [epoch["val_loss"] for epoch in run(worker)]
    assert min(losses) < losses[-1]
    model, trained = load_best(tmp_path / CHECKPOINT)
    assert trained == worker.trainer.config
    assert evaluate(model, load_data(trained.data).validation).loss == pytest.approx(min(losses), abs=1e-6)


def test_begin_comes_first() -> None:
    with pytest.raises(RuntimeError, match="call begin"):
        Worker().epoch()


def test_a_damaged_checkpoint_is_told_and_the_one_before_used(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path), save_at=[1, 2, 3])
    whole = run(worker)
    last = tmp_path / CHECKPOINT
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 4
    last.write_bytes(data)
    again = Worker()
    again.begin(config(MLP), str(tmp_path), known_epochs=2)
    report = again.epoch()
    assert report["note"].endswith("previous.pt is used")
    assert timeless(report) == whole[2]
    assert "note" not in again.epoch()
