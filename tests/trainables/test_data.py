import pytest
import torch
from pydantic import ValidationError

from trainables import DataConfig, DataError, Dataset, load_data


def test_digits_are_images_between_zero_and_one(digits: Dataset) -> None:
    assert digits.input_shape == (1, 8, 8)
    assert digits.num_classes == 10
    assert digits.classes[3] == "3"
    for split in (digits.train, digits.validation, digits.test):
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert (float(split.images.min()), float(split.images.max())) == (0.0, 1.0)


def test_parts_are_disjoint_and_of_the_sizes_asked_for(digits: Dataset) -> None:
    parts = (digits.train, digits.validation, digits.test)
    assert [len(part) for part in parts] == [1079, 359, 359]
    rows = torch.cat([part.images for part in parts]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)


def test_every_part_has_the_proportion_of_classes(digits: Dataset) -> None:
    whole = torch.cat([digits.train.labels, digits.validation.labels, digits.test.labels])
    expected = whole.bincount() / len(whole)
    for split in (digits.train, digits.validation, digits.test):
        assert torch.allclose(split.labels.bincount() / len(split), expected, atol=0.005)


def test_the_seed_alone_decides_the_split(digits: Dataset) -> None:
    torch.manual_seed(5)
    again, other = load_data(DataConfig()), load_data(DataConfig(seed=1))
    assert torch.equal(again.test.images, digits.test.images)
    assert not torch.equal(other.test.images, digits.test.images)


def test_mean_and_std_are_those_of_the_training_part(digits: Dataset) -> None:
    images = digits.train.images
    assert torch.allclose(digits.mean, images.mean(dim=(0, 2, 3)))
    assert torch.allclose(digits.std, images.std(dim=(0, 2, 3)))


def test_unknown_data_lists_what_there_is() -> None:
    with pytest.raises(DataError, match=r"one of digits.*but got 'mnist'"):
        load_data(DataConfig(name="mnist"))


def test_a_part_too_small_for_every_class_is_refused() -> None:
    with pytest.raises(DataError, match="digits cannot be split by class"):
        load_data(DataConfig(test=0.001))


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"`validation \+ test < 1` must hold, but got 0.6 \+ 0.4"):
        DataConfig(validation=0.6, test=0.4)
