from pathlib import Path
from typing import Any

import pytest

from trainables import CheckpointError, TrainConfig, Worker, evaluate, load_checkpoint, load_data, save_checkpoint
from trainables.worker import CHECKPOINT, load_best

MLP = {"model": {"name": "mlp", "width": 16, "dropout": 0.3}, "augment": {"shift": 0.1}, "epochs": 3}
RESNET = {"model": {"name": "resnet", "width": 4}, "optimizer": {"name": "adam", "lr": 0.01}, "epochs": 2}


def config(base: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    return TrainConfig.of(base, overrides).model_dump(mode="json")


def run(worker: Worker) -> list[dict[str, Any]]:
    metrics = []
    while not worker.finished:
        epoch = worker.epoch()
        metrics.append({key: epoch[key] for key in epoch if key not in ("seconds", "images_per_second")})
    return metrics


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
    taken_in_turns = [(one.epoch()["train_loss"], other.epoch())[0] for _ in range(3)]
    assert taken_in_turns == [epoch["train_loss"] for epoch in run(alone)]


def test_goes_on_from_the_folders_checkpoint(tmp_path: Path) -> None:
    whole, before, after = Worker(), Worker(), Worker()
    whole.begin(config(MLP), None)
    expected = run(whole)
    before.begin(config(MLP), str(tmp_path))
    before.epoch()
    after.begin(config(MLP), str(tmp_path))
    assert after.done_epochs == 1
    assert run(after) == expected[1:]


def test_the_checkpoint_is_on_the_disk_after_each_epoch(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path))
    assert not list(tmp_path.iterdir())
    for epoch in (1, 2, 3):
        assert worker.epoch()["finished"] == (epoch == 3)
        saved = load_checkpoint(tmp_path / CHECKPOINT)
        assert (saved["trainer"]["epoch"], saved["version"]) == (epoch, 1)
        assert TrainConfig.model_validate(saved["config"]) == TrainConfig.of(MLP)
        assert set(saved["trainer"]["best"]) == set(saved["trainer"]["model"])


def test_nothing_is_written_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    worker = Worker()
    worker.begin(config(MLP), None)
    worker.epoch()
    assert not list(tmp_path.iterdir())


def test_a_finished_trial_has_no_further_epoch(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP, epochs=1), str(tmp_path))
    assert worker.epoch()["finished"]
    worker.begin(config(MLP, epochs=1), str(tmp_path))
    assert worker.finished
    with pytest.raises(RuntimeError, match="no epoch follows epoch 1"):
        worker.epoch()


def test_a_trial_may_be_prolonged(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP, epochs=1), str(tmp_path))
    worker.epoch()
    worker.begin(config(MLP, epochs=3), str(tmp_path))
    assert [epoch["epoch"] for epoch in run(worker)] == [2, 3]


def test_another_configs_checkpoint_is_refused(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP), str(tmp_path))
    worker.epoch()
    with pytest.raises(CheckpointError, match=r"last\.pt was made with another seed, optimizer"):
        worker.begin(config(MLP, seed=1, **{"optimizer.lr": 0.3}), str(tmp_path))


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / CHECKPOINT, {"version": 99})
    with pytest.raises(CheckpointError, match="has version 99, but this program reads 1"):
        Worker().begin(config(MLP), str(tmp_path))


def test_the_best_weights_come_back_as_a_model(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(config(MLP, **{"optimizer.lr": 1.0, "schedule.name": "constant", "epochs": 6}), str(tmp_path))
    losses = [epoch["val_loss"] for epoch in run(worker)]
    assert min(losses) < losses[-1]
    model, trained = load_best(tmp_path / CHECKPOINT)
    assert trained == worker.trainer.config
    assert evaluate(model, load_data(trained.data).validation)[0] == pytest.approx(min(losses), abs=1e-6)


def test_begin_comes_first() -> None:
    with pytest.raises(RuntimeError, match="call begin"):
        Worker().epoch()
