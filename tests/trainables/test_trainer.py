import copy
import itertools
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables import (
    Dataset,
    Diverged,
    EpochMetrics,
    TrainConfig,
    Trainer,
    evaluate,
    load_checkpoint,
    metric_names,
    save_checkpoint,
)

SMALL: dict[str, Any] = {
    "model": {"name": "mlp", "width": 16, "dropout": 0.2},
    "augment": {"rotate": 10, "shift": 0.1, "crop": 1},
    "optimizer": {"lr": 0.01},
    "epochs": 4,
}


def small(**overrides: Any) -> TrainConfig:
    return TrainConfig.of(SMALL, {key.replace("__", "."): value for key, value in overrides.items()})


def timeless(metrics: list[EpochMetrics]) -> list[dict[str, Any]]:
    timing = ("seconds", "images_per_second")
    return [{key: value for key, value in asdict(m).items() if key not in timing} for m in metrics]


def assert_same(one: Any, other: Any) -> None:
    """Equal through and through, tensors bit for bit."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_interrupted_equals_uninterrupted(digits: Dataset, tmp_path: Path, optimizer, schedule) -> None:
    config = small(optimizer__name=optimizer, schedule__name=schedule, schedule__step_size=1)
    whole = Trainer(config, digits)
    expected = list(whole.epochs())

    before = Trainer(config, digits)
    metrics = list(itertools.islice(before.epochs(), 2))
    save_checkpoint(tmp_path / "last.pt", before.state_dict())
    torch.rand(7)  # whatever else a process does with the global generator must not matter
    after = Trainer(config, digits)
    after.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
    metrics += after.epochs()

    assert timeless(metrics) == timeless(expected)
    assert_same(after.state_dict(), whole.state_dict())


def test_early_stopping_counts_on_through_an_interruption(digits: Dataset) -> None:
    config = small(stopping__patience=2, stopping__min_delta=100, epochs=9)
    before = Trainer(config, digits)
    metrics = list(itertools.islice(before.epochs(), 2))
    after = Trainer(config, digits)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    metrics += after.epochs()
    assert [m.epoch for m in metrics] == [1, 2, 3]
    assert after.finished


def test_learns(digits: Dataset) -> None:
    trainer = Trainer(small(epochs=8, model__width=64, optimizer__lr=0.05, augment__crop=0), digits)
    metrics = list(trainer.epochs())
    assert metrics[-1].train_loss < metrics[0].train_loss / 2
    assert metrics[-1].val_accuracy > 0.9
    assert [m.epoch for m in metrics] == list(range(1, 9))
    assert metrics[-1].lr < metrics[0].lr < 0.05
    assert all(m.seconds > 0 and m.images_per_second > 0 for m in metrics)


def test_the_shipped_residual_network_learns(digits: Dataset) -> None:
    config = TrainConfig.of({"epochs": 3, "model": {"width": 8}})
    assert list(Trainer(config, digits).epochs())[-1].val_accuracy > 0.9


@pytest.mark.parametrize("min_delta", [0.0, 10.0])
@pytest.mark.parametrize(("metric", "sign"), [("val_loss", 1), ("val_accuracy", -1)])
def test_ends_with_the_weights_of_the_best_epoch(digits: Dataset, metric: str, sign: int, min_delta: float) -> None:
    stopping = {"metric": metric, "min_delta": min_delta}
    config = small(optimizer__lr=1.0, schedule__name="constant", epochs=6, stopping=stopping)
    trainer = Trainer(config, digits)
    metrics = list(trainer.epochs())
    best = min(metrics, key=lambda m: sign * getattr(m, metric))
    assert best.epoch < 6
    assert evaluate(trainer.model, digits.validation) == (best.val_loss, best.val_accuracy)
    assert_same(trainer.model.state_dict(), trainer.best_state)


def test_a_finished_trial_resumes_to_its_best_weights(digits: Dataset) -> None:
    first, second = (Trainer(small(epochs=2), digits) for _ in range(2))
    state: dict[str, Any] = {}
    for _ in first.epochs():
        state = copy.deepcopy(first.state_dict())
    second.load_state_dict(state)
    assert list(second.epochs()) == []
    assert_same(second.model.state_dict(), first.model.state_dict())


def test_seeds_decide(digits: Dataset) -> None:
    def losses(seed: int) -> list[float]:
        return [m.train_loss for m in Trainer(small(epochs=1, seed=seed), digits).epochs()]

    assert losses(3) == losses(3)
    assert losses(3) != losses(4)


def test_every_image_counts_once_an_epoch(digits: Dataset) -> None:
    """77 leaves one image over (it joins the batch before), 269 leaves three: the loss is still the mean over all."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    expected = evaluate(model, digits.train)[0]
    for batch_size in (64, 77, 269, 5000):
        config = TrainConfig.of(
            {"batch_size": batch_size, "epochs": 1, "optimizer": {"lr": 1e-12}, "augment": {"shift": 0}}
        )
        (metrics,) = Trainer(config, digits, model=copy.deepcopy(model)).epochs()
        assert metrics.train_loss == pytest.approx(expected, rel=1e-4)


def test_batch_norm_never_meets_a_single_image(digits: Dataset) -> None:
    (metrics,) = Trainer(small(batch_size=77, epochs=1), digits).epochs()
    assert metrics.train_loss > 0


def test_takes_a_model_and_an_objective(digits: Dataset) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    shapes = set()

    def objective(logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        shapes.add((tuple(logits.shape), tuple(labels.shape), tuple(images.shape)))
        return logits.square().mean()

    trainer = Trainer(small(batch_size=83), digits, model=model, objective=objective)
    list(trainer.epochs())
    assert trainer.model is model
    assert shapes == {((83, 10), (83,), (83, 1, 8, 8))}
    assert float(model(digits.train.inputs).detach().square().mean()) < 0.1


def test_divergence_tells_epoch_and_step(digits: Dataset) -> None:
    calls = itertools.count(1)

    def objective(logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        return logits.mean() * (float("nan") if next(calls) == 17 + 4 else 1.0)

    with pytest.raises(Diverged, match="not finite in epoch 2 at step 4") as caught:
        list(Trainer(small(), digits, objective=objective).epochs())
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.epoch, again.step, str(again)) == (2, 4, str(caught.value))


def test_validation_that_is_not_finite_is_divergence_too(digits: Dataset) -> None:
    def objective(logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        return logits.sum() * 1e36

    config = small(batch_size=5000, optimizer__lr=1e3, augment__crop=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(Diverged):
        list(Trainer(config, digits, model=model, objective=objective).epochs())


def test_evaluate_is_the_mean_over_the_split_and_leaves_the_mode(digits: Dataset) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)).train()
    loss, accuracy = evaluate(model, digits.train)
    assert model.training
    with torch.no_grad():
        logits = model.eval()(digits.train.inputs)
    assert loss == pytest.approx(float(nn.functional.cross_entropy(logits, digits.train.targets)), rel=1e-5)
    assert accuracy == pytest.approx(float((logits.argmax(1) == digits.train.targets).float().mean()), rel=1e-6)


def test_a_sweeps_metrics_are_fields_of_an_epoch(digits: Dataset) -> None:
    assert set(metric_names()) <= set(EpochMetrics.__dataclass_fields__)
    assert "val_accuracy" in metric_names()
