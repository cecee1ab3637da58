import copy
import itertools
import pickle
import shutil
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
    SettingError,
    Split,
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


RECIPES: dict[str, dict[str, Any]] = {
    **{name: {"optimizer__name": name} for name in ("sgd", "adam", "adamw", "rmsprop")},
    **{
        name: {"schedule__name": name, "schedule__step_size": 1, "schedule__patience": 0}
        for name in ("constant", "step", "exponential", "one_cycle", "plateau")
    },
    "warm-up": {"schedule__warmup": 2},
    "averaged weights": {"ema": 0.9, "stopping__metric": "val_accuracy"},
    "mixing": {"augment__mixup": 0.4, "augment__cutmix": 1.0, "label_smoothing": 0.1},
    "parts and clipping": {"accumulate": 3, "optimizer__clip_norm": 0.5},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16", "optimizer__clip_norm": 0.5},
    "convolutions": {"model": {"name": "resnet", "width": 4}, "ema": 0.9, "epochs": 3},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_interrupted_equals_uninterrupted(digits: Dataset, tmp_path: Path, recipe: str) -> None:
    config = small(**RECIPES[recipe])
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
    assert evaluate(trainer.model, digits.validation)[:2] == (best.val_loss, best.val_accuracy)
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
    expected = evaluate(model, digits.train).loss
    for batch_size in (64, 77, 269, 5000):
        config = TrainConfig.of({"batch_size": batch_size, "epochs": 1, "optimizer": {"lr": 1e-12}})
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


def test_a_sweeps_metrics_are_fields_of_an_epoch(digits: Dataset) -> None:
    assert set(metric_names()) <= set(EpochMetrics.__dataclass_fields__)
    assert "val_accuracy" in metric_names()


def steps_alike(digits: Dataset, one: TrainConfig, other: TrainConfig, **tolerance: float) -> None:
    """Both end with the same weights; the model has no BatchNorm, whose statistics depend on the parts."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    states = []
    for config in (one, other):
        trainer = Trainer(config, digits, model=copy.deepcopy(model))
        list(trainer.epochs())
        states.append(trainer.model.state_dict())
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], **tolerance), name


def test_accumulated_parts_make_the_step_of_the_whole_batch(digits: Dataset) -> None:
    steps_alike(digits, small(epochs=2), small(epochs=2, accumulate=5), atol=1e-5)


def test_float16_takes_the_same_way(digits: Dataset) -> None:
    """Gradients are scaled against underflow, and back before they are clipped."""
    recipe = {"epochs": 2, "optimizer__clip_norm": 0.5}
    steps_alike(digits, small(**recipe), small(**recipe, precision="float16"), atol=0.02)


def test_gradients_are_clipped_as_torch_does(digits: Dataset) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    other = copy.deepcopy(model)
    overrides = {"optimizer.momentum": 0.0, "optimizer.weight_decay": 0.0, "schedule.name": "constant"}
    config = TrainConfig.of({"epochs": 1, "batch_size": 2000, "optimizer": {"lr": 0.5, "clip_norm": 0.01}}, overrides)
    list(Trainer(config, digits, model=model).epochs())
    nn.functional.cross_entropy(other(digits.train.inputs), digits.train.targets).backward()
    assert float(nn.utils.clip_grad_norm_(other.parameters(), 0.01)) > 0.01
    with torch.no_grad():
        for parameter, got in zip(other.parameters(), model.parameters(), strict=True):
            assert torch.allclose(parameter - 0.5 * parameter.grad, got, atol=1e-6)


def test_averaged_weights_are_what_is_measured_and_kept(digits: Dataset) -> None:
    trainer = Trainer(small(ema=0.95, epochs=3), digits)
    metrics = []
    for epoch in trainer.epochs():
        metrics.append(epoch)
        live = copy.deepcopy(trainer.model.state_dict())
        assert evaluate(trainer.model, digits.validation).loss != epoch.val_loss
        with trainer.average.applied():
            assert evaluate(trainer.model, digits.validation).loss == pytest.approx(epoch.val_loss, rel=1e-6)
        assert_same(trainer.model.state_dict(), live)
    best = min(metrics, key=lambda m: m.val_loss)
    assert evaluate(trainer.model, digits.validation).loss == pytest.approx(best.val_loss, rel=1e-6)


def test_smoothed_and_mixed_labels_are_those_of_torchs_loss(digits: Dataset) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    config = TrainConfig.of({"batch_size": 2000, "epochs": 1, "optimizer": {"lr": 1e-12}, "label_smoothing": 0.2})
    expected = nn.functional.cross_entropy(model(digits.train.inputs), digits.train.targets, label_smoothing=0.2)
    (metrics,) = Trainer(config, digits, model=copy.deepcopy(model)).epochs()
    assert metrics.train_loss == pytest.approx(float(expected.detach()), rel=1e-5)
    assert metrics.val_loss == pytest.approx(evaluate(model, digits.validation).loss, rel=1e-5)


@pytest.mark.parametrize("name", ["cnn", "resnet", "mobile"])
def test_the_layout_of_memory_changes_nothing_else(digits: Dataset, name: str) -> None:
    def loss(channels_last: bool) -> float:
        config = TrainConfig.of({"model": {"name": name, "width": 8}, "epochs": 1, "channels_last": channels_last})
        (metrics,) = Trainer(config, digits).epochs()
        return metrics.val_loss

    assert loss(True) == pytest.approx(loss(False), rel=2e-2)


@pytest.mark.parametrize(("asked", "expected"), [(None, False), (True, True)])
def test_a_users_model_has_the_usual_layout_unless_asked(digits: Dataset, asked: bool | None, expected: bool) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 10))
    Trainer(TrainConfig.of({"model": {"name": "own:Net"}, "channels_last": asked}), digits, model=model)
    assert model[1].weight.is_contiguous(memory_format=torch.channels_last) is expected


@pytest.mark.parametrize(("width", "expected"), [(4, False), (16, True)])
def test_narrow_shortcuts_keep_the_usual_layout_on_a_cpu(digits: Dataset, width: int, expected: bool) -> None:
    """oneDNN writes beyond its memory there: a process would crash, or worse."""
    trainer = Trainer(TrainConfig.of({"model": {"name": "resnet", "width": width}}), digits)
    kernel = trainer.model.get_parameter("network.3.body.0.weight")
    assert kernel.is_contiguous(memory_format=torch.channels_last) is expected


@pytest.fixture(scope="module")
def diabetes() -> Dataset:
    """442 patients, ten features, a measure of the disease a year later (Efron et al. 2004)."""
    from sklearn.datasets import load_diabetes

    features, values = (torch.from_numpy(part).float() for part in load_diabetes(return_X_y=True))
    parts = [Split(features[start::3], values[start::3].unsqueeze(1)) for start in range(3)]
    std, mean = torch.std_mean(parts[0].inputs, dim=0)
    unit, centre = torch.std_mean(parts[0].targets, dim=0)
    return Dataset(*parts, (), mean, std, target_mean=centre, target_std=unit)


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_learns_to_predict_values(diabetes: Dataset, mixup: float) -> None:
    config = TrainConfig.of(
        {
            "model": {"name": "mlp", "width": 32, "depth": 1, "dropout": 0.2},
            "augment": {"mixup": mixup},
            "optimizer": {"name": "adamw", "lr": 0.01},
            "stopping": {"metric": "val_r2"},
            "epochs": 40,
            "batch_size": 32,
        }
    )
    trainer = Trainer(config, diabetes)
    metrics = list(trainer.epochs())
    best = max(metrics, key=lambda m: m.val_r2)
    assert best.val_r2 > 0.3
    assert best.val_loss < 0.8
    assert best.val_accuracy is None
    test = evaluate(trainer.model, diabetes.test, unit=float(diabetes.target_std))
    assert test.r2 > 0.2
    assert float((trainer.model(diabetes.test.inputs).detach() - diabetes.test.targets).abs().mean()) < 70


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"stopping.metric": "val_accuracy"},
            r"^stopping\.metric: must be val_loss or val_r2, as .* values to predict",
        ),
        ({"label_smoothing": 0.1}, r"^label_smoothing: must be 0, as digits has values to predict, but got 0\.1$"),
        ({"augment.shift": 0.1}, r"^augment\.shift: is for images, but the data has 10 features$"),
        ({"model.name": "resnet"}, r"^model\.name: 'resnet' is for images, but the data has 10 features; use mlp$"),
    ],
)
def test_what_is_not_for_values_or_features_is_refused(diabetes: Dataset, overrides: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Trainer(TrainConfig.of({"model": {"name": "mlp"}}, overrides), diabetes)


def test_what_is_not_for_classes_is_refused(digits: Dataset) -> None:
    message = r"^stopping\.metric: must be val_loss or val_accuracy, as digits has classes, but got val_r2$"
    with pytest.raises(SettingError, match=message):
        Trainer(small(stopping__metric="val_r2"), digits)


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a compiler")
@pytest.mark.slow
def test_a_compiled_model_trains_alike(digits: Dataset) -> None:
    steps_alike(digits, small(epochs=1), small(epochs=1, compile=True), atol=1e-4)


class Remembering(nn.Module):
    """A statistic that no checkpoint of torch has, one that grows, and a count that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)
        self.count = 0
        self.register_buffer("mean", torch.zeros(64), persistent=False)
        self.register_buffer("history", torch.zeros(0), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1)
        if self.training:
            self.count += 1
            self.mean.lerp_(rows.mean(0), 0.1)
            self.history = torch.cat((self.history, rows.mean().reshape(1)))
        return self.head(rows - self.mean) + self.history.sum() + self.count / 1000

    def get_extra_state(self) -> dict[str, int]:
        return {"count": self.count}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.count = state["count"]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_a_model_remembers_outside_its_weights_is_kept_too(digits: Dataset, tmp_path: Path, ema: float) -> None:
    torch.manual_seed(0)
    model = Remembering()
    config = small(ema=ema, optimizer__lr=2.0, schedule__name="constant")
    whole = Trainer(config, digits, model=copy.deepcopy(model))
    expected = list(whole.epochs())
    best = min(expected, key=lambda m: m.val_loss)
    assert best.epoch < 4
    assert evaluate(whole.model, digits.validation).loss == best.val_loss

    before = Trainer(config, digits, model=copy.deepcopy(model))
    metrics = list(itertools.islice(before.epochs(), 2))
    save_checkpoint(tmp_path / "last.pt", before.state_dict())
    after = Trainer(config, digits, model=copy.deepcopy(model))
    after.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
    metrics += after.epochs()
    assert timeless(metrics) == timeless(expected)
    assert_same(after.state_dict(), whole.state_dict())


def test_lazily_initialised_layers_are_trained(digits: Dataset) -> None:
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(10))
    trainer = Trainer(small(ema=0.9, epochs=6, optimizer__lr=0.1), digits, model=model)
    assert list(trainer.epochs())[-1].val_accuracy > 0.7


def test_a_module_may_keep_in_validation_what_it_trains_with(digits: Dataset) -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.cache = nn.Linear(64, 10), torch.ones(0, 64)

        def forward(self, images: Tensor) -> Tensor:
            if len(self.cache) < len(images):
                self.cache = torch.ones(len(images), 10)
            return self.head(images.flatten(1)) * self.cache[: len(images)]

    assert len(list(Trainer(small(epochs=2), digits, model=Cached()).epochs())) == 2
