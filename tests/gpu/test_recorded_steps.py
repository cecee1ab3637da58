"""Steps as CUDA graphs beside the same steps launched from Python, on a real GPU."""

from __future__ import annotations

import copy
import gc
import itertools
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables import Dataset, SettingError, Split, TrainConfig, Trainer, load_checkpoint, save_checkpoint
from trainables.recording import RecordingWarning

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

CHANGES = {
    **{"rotate": 10.0, "shift": 0.1, "zoom": 0.1, "shear": 5.0, "flip": 0.5, "crop": 2},
    **{"brightness": 0.1, "contrast": 0.2, "erase": 0.25},
}
BASE: dict[str, Any] = {
    **{"model": {"name": "mlp", "width": 32, "dropout": 0.2}, "augment": CHANGES, "epochs": 2, "batch_size": 64},
    **{"optimizer": {"lr": 0.02}, "ema": 0.9},
}
RECIPES: dict[str, dict[str, Any]] = {
    "perceptron": {},
    "residual": {"model": {"name": "resnet", "width": 8, "depth": 1, "stem": 1}},
    "depthwise": {"model": {"name": "mobile", "width": 8, "depth": 1}},
    "mixing": {"augment": {**CHANGES, "mixup": 0.4, "cutmix": 1.0}, "label_smoothing": 0.1},
    "clipping and parts": {"optimizer": {"lr": 0.02, "clip_norm": 0.5}, "accumulate": 2},
    **{name: {"optimizer": {"name": name, "lr": 0.002}} for name in ("adam", "adamw", "rmsprop")},
    "one cycle": {"schedule": {"name": "one_cycle"}},
    "plateau": {"schedule": {"name": "plateau", "patience": 0}, "epochs": 4},
    "no average": {"ema": 0.0},
    "float32": {"precision": "float32"},
}


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    """Of ten noisy patterns; 1,100 to train, so that the last batch of 64 has 12, and 1,500 to validate."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(10, 1, 16, 16, generator=generator)

    def split(rows: int) -> Split:
        labels = torch.randint(0, 10, (rows,), generator=generator)
        noise = torch.rand(rows, 1, 16, 16, generator=generator)
        return Split(((patterns[labels] + noise) * 127).to(torch.uint8), labels)

    train, validation, test = split(1100), split(1500), split(100)
    names = tuple(map(str, range(10)))
    return Dataset(train, validation, test, names, torch.tensor([0.5]), torch.tensor([0.2]))


def configured(recipe: str, **changes: Any) -> TrainConfig:
    return TrainConfig.of({**BASE, **RECIPES[recipe], **changes})


def trained(config: TrainConfig, data: Dataset, model: nn.Module | None = None) -> tuple[Trainer, list[Any]]:
    torch.manual_seed(0)
    trainer = Trainer(config, data, model=copy.deepcopy(model))
    return trainer, list(trainer.epochs())


def figures(metrics: list[Any]) -> list[tuple[float, ...]]:
    return [(one.train_loss, one.val_loss, one.val_accuracy, one.lr) for one in metrics]


def assert_close(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value.double(), other[name].double(), rtol=tolerance, atol=tolerance), name


@pytest.mark.parametrize("recipe", RECIPES)
def test_recorded_steps_train_what_launched_ones_do(pictures: Dataset, recipe: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecordingWarning)
        recorded, got = trained(configured(recipe, compile="graph"), pictures)
    launched, expected = trained(configured(recipe, compile="off"), pictures)
    for mine, its in zip(figures(got), figures(expected), strict=True):
        assert mine == pytest.approx(its, abs=1e-5, rel=1e-5)
    assert_close(recorded.best_state, launched.best_state, 1e-5)


def test_steps_and_validation_are_recorded_in_the_first_epoch(pictures: Dataset) -> None:
    trainer = Trainer(configured("perceptron"), pictures)
    epochs = trainer.epochs()
    next(epochs)
    assert trainer.recorder.recorded == [("Trainer._step", 64)]
    next(epochs)
    assert [rows for _, rows in trainer.recorder.recorded] == [64, 512]


@pytest.mark.parametrize("recipe", ["perceptron", "residual", "mixing", "adamw"])
@pytest.mark.parametrize("left", [1, 2])
def test_an_interrupted_training_is_the_uninterrupted_one_bit_for_bit(
    pictures: Dataset, tmp_path: Any, recipe: str, left: int
) -> None:
    config = configured(recipe, epochs=3)
    whole, expected = trained(config, pictures)
    before = Trainer(config, pictures)
    metrics = list(itertools.islice(before.epochs(), left))
    save_checkpoint(tmp_path / "last.pt", before.state_dict())
    after = Trainer(config, pictures)
    after.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
    metrics += after.epochs()
    assert figures(metrics) == figures(expected)
    for name, value in whole.state_dict()["model"].items():
        assert torch.equal(value, after.state_dict()["model"][name]), name


class Branching(nn.Module):
    """Takes another way where a value says so."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.one, self.other = nn.Flatten(), nn.Linear(256, 10), nn.Linear(256, 10)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.flat(images)
        return self.one(rows) if rows.mean() > 0.5 else self.other(rows)


class Masking(Branching):
    def forward(self, images: Tensor) -> Tensor:
        rows = self.flat(images)
        out = self.one(rows)
        bright = rows.mean(1) > 0.5
        out[bright] = self.other(rows[bright])
        return out


class Counting(Branching):
    """Takes another way at each second call."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        rows = self.flat(images)
        return self.one(rows) if self.calls % 2 else self.other(rows)


class Drawing(Branching):
    """Leaves a layer out at random, by a number of the CPU."""

    def forward(self, images: Tensor) -> Tensor:
        rows = self.flat(images)
        if not self.training:
            return self.one(rows) + self.other(rows)
        return self.one(rows) + (self.other(rows) if torch.rand(()) < 0.5 else 0.0)


class Replacing(Branching):
    """Puts another tensor in the place of its statistic."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(256))

    def forward(self, images: Tensor) -> Tensor:
        rows = self.flat(images)
        if self.training:
            self.mean = torch.lerp(self.mean, rows.mean(0).detach(), 0.1)
        return self.one(rows - self.mean)


OTHERWISE = {
    Branching: "a step waits for the GPU",
    Masking: "a step waits for the GPU",
    Counting: "a step changes .*calls",
    Drawing: "a step draws from the generator of torch on the CPU",
    Replacing: "a step changes .*mean",
}


@pytest.mark.parametrize("kind", OTHERWISE)
def test_what_may_do_something_else_each_time_is_launched_and_one_line_says_why(
    pictures: Dataset, kind: type[nn.Module]
) -> None:
    torch.manual_seed(1)
    model = kind()
    with pytest.warns(RecordingWarning, match=OTHERWISE[kind]) as caught:
        trainer, got = trained(configured("no average", model={"name": "own:Model"}), pictures, model)
    assert len([one for one in caught if issubclass(one.category, RecordingWarning)]) == 1
    assert trainer.recorder.reason is not None
    _, expected = trained(configured("no average", model={"name": "own:Model"}, compile="off"), pictures, model)
    for mine, its in zip(figures(got), figures(expected), strict=True):
        assert mine == pytest.approx(its, abs=1e-5, rel=1e-5)


class Refused(Branching):
    """Does what CUDA does not record, and nothing that waits in a step before."""

    def forward(self, images: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError("not while recording")
        return self.one(nn.functional.dropout(self.flat(images), 0.2, self.training))


def test_a_recording_that_fails_leaves_a_training_that_goes_on(pictures: Dataset) -> None:
    torch.manual_seed(1)
    model = Refused()
    config = configured("no average", model={"name": "own:Model"})
    with pytest.warns(RecordingWarning, match="recording failed with RuntimeError: not while recording"):
        _, got = trained(config, pictures, model)
    _, expected = trained(config.model_copy(update={"compile": "off"}), pictures, model)
    _, later = trained(configured("perceptron", compile="graph"), pictures)  # another one in the same process
    _, launched = trained(configured("perceptron", compile="off"), pictures)
    for mine, its in zip(figures(got + later), figures(expected + launched), strict=True):
        assert mine == pytest.approx(its, abs=1e-5, rel=1e-5)


def test_no_step_waits_for_the_gpu(pictures: Dataset) -> None:
    trainer = Trainer(configured("residual", compile="off", accumulate=2), pictures)
    trainer.batches.begin(trainer.batches.draw(torch.Generator().manual_seed(0)))
    rates = trainer.schedule.take(trainer.batches.steps)
    trainer.values.begin(rates, trainer.average.shares(len(rates)))
    trainer.model.train()
    trainer._step(64)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for size in trainer.batches.sizes[1:]:
            trainer._step(size)
    finally:
        torch.cuda.set_sync_debug_mode(0)


def test_memory_is_given_back_between_trials(pictures: Dataset) -> None:
    held = []
    for _ in range(4):
        trained(configured("residual", epochs=1), pictures)
        gc.collect()
        torch.cuda.empty_cache()
        held.append(torch.cuda.memory_reserved())
    assert held[3] <= held[1]


def test_two_workers_are_refused(pictures: Dataset) -> None:
    from trainables import Group

    with pytest.raises(
        SettingError, match=r"^compile: graph is for trials of one worker, but this one has 2; use auto$"
    ):
        Trainer(configured("perceptron", compile="graph"), pictures, group=Group(0, 2))
