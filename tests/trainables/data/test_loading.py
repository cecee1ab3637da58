import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables import DataConfig, DataError, Dataset, SettingError, Split, TrainConfig, Trainer, as_floats, load_data
from trainables.compress import recalibrate
from trainables.data import FASHION_MNIST

PARTS = ("train", "validation", "test")


def test_digits_are_images_between_zero_and_one(digits: Dataset) -> None:
    assert digits.input_shape == (1, 8, 8)
    assert digits.num_classes == 10
    assert digits.classes[3] == "3"
    for split in (digits.train, digits.validation, digits.test):
        assert split.inputs.dtype == torch.float32
        assert split.targets.dtype == torch.int64
        assert (float(split.inputs.min()), float(split.inputs.max())) == (0.0, 1.0)


def test_parts_are_disjoint_and_of_the_sizes_asked_for(digits: Dataset) -> None:
    parts = (digits.train, digits.validation, digits.test)
    assert [len(part) for part in parts] == [1079, 359, 359]
    rows = torch.cat([part.inputs for part in parts]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)


def test_every_part_has_the_proportion_of_classes(digits: Dataset) -> None:
    whole = torch.cat([digits.train.targets, digits.validation.targets, digits.test.targets])
    expected = whole.bincount() / len(whole)
    for split in (digits.train, digits.validation, digits.test):
        assert torch.allclose(split.targets.bincount() / len(split), expected, atol=0.005)


def test_the_seed_alone_decides_the_split(digits: Dataset) -> None:
    torch.manual_seed(5)
    again, other = load_data(DataConfig()), load_data(DataConfig(seed=1))
    assert torch.equal(again.test.inputs, digits.test.inputs)
    assert not torch.equal(other.test.inputs, digits.test.inputs)


def test_mean_and_std_are_those_of_the_training_part(digits: Dataset) -> None:
    images = digits.train.inputs
    assert torch.allclose(digits.mean, images.mean(dim=(0, 2, 3)))
    assert torch.allclose(digits.std, images.std(dim=(0, 2, 3)))


def test_digits_have_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path must be left out for digits"):
        load_data(DataConfig(path=str(tmp_path)))


def test_a_relative_folder_means_the_same_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert DataConfig(path="images").path == str(tmp_path / "images")
    assert DataConfig(path="~/images").path == "/home/somebody/images"


def test_bytes_are_measured_as_the_floats_they_stand_for(idx_folder: Path) -> None:
    data = load_data(DataConfig(name="idx", path=str(idx_folder)))
    assert (data.train.inputs.dtype, data.test.inputs.dtype) == (torch.uint8, torch.uint8)
    floats = as_floats(data.train.inputs)
    assert (float(floats.min()), float(floats.max())) == (0.0, 1.0)
    assert torch.allclose(data.mean, floats.mean(dim=(0, 2, 3)))
    assert torch.allclose(data.std, floats.std(dim=(0, 2, 3)))


def test_bytes_train_and_compress_as_the_floats_they_stand_for(idx_folder: Path) -> None:
    data = load_data(DataConfig(name="idx", path=str(idx_folder)))
    parts = {name: Split(as_floats(part.inputs), part.targets) for name, part in vars(data).items() if name in PARTS}
    config = TrainConfig.of({"epochs": 2, "model": {"name": "mlp", "width": 8}, "augment": {"rotate": 10, "crop": 1}})
    trainers = [Trainer(config, each) for each in (data, replace(data, **parts))]
    losses = [[(epoch.train_loss, epoch.val_loss) for epoch in trainer.epochs()] for trainer in trainers]
    assert losses[0] == losses[1]
    for trainer in trainers:
        recalibrate(trainer.model, data.train.inputs)
    one, other = (trainer.model.state_dict() for trainer in trainers)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.skipif(not Path(FASHION_MNIST).is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_keeps_its_own_test_images() -> None:
    data = load_data(DataConfig(name="fashion_mnist", validation=0.1))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [54_000, 6_000, 10_000]
    assert (data.input_shape, data.classes[9]) == ((1, 28, 28), "Ankle boot")
    for part in (data.train, data.validation, data.test):
        assert set(part.targets.bincount().tolist()) == {len(part) // 10}
    assert float(data.mean) == pytest.approx(0.286, abs=1e-3)
    assert float(data.std) == pytest.approx(0.353, abs=1e-3)
    assert data.test.targets[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]


def test_fashion_mnist_that_is_not_there_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.data.idx.FASHION_MNIST", "/nowhere/fashion-mnist")
    with pytest.raises(DataError, match=r"/nowhere/fashion-mnist does not exist: install.* dataset-fashion-mnist"):
        load_data(DataConfig(name="fashion_mnist"))


def test_unknown_data_lists_what_there_is() -> None:
    known = "one of digits, fashion_mnist, idx, images, npz, table"
    with pytest.raises(DataError, match=rf"{known}, but got 'digit'; did you mean 'digits'\?"):
        load_data(DataConfig(name="digit"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"size": 8}, "data.size is for images and must be left out for digits, but got 8"),
        ({"task": "regression"}, "data.task is for npz and table and must be left out for digits"),
        ({"drop": ["id"]}, "data.drop is for table and must be left out for digits"),
    ],
)
def test_settings_for_other_data_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load_data(DataConfig(**setting))


def test_a_part_too_small_for_every_class_is_refused() -> None:
    rule = "digits cannot be split by class: data.test must hold out and leave an example for each of 10 classes"
    with pytest.raises(DataError, match=f"{rule}, but 0.001 makes that 2 of the 1797"):
        load_data(DataConfig(test=0.001))


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(SettingError, match=r"`validation \+ test < 1` must hold, but got 0.6 \+ 0.4"):
        DataConfig(validation=0.6, test=0.4)
