"""A user's own folder of IDX files, whole and in all the ways in which it may not be."""

import gzip
import re
from pathlib import Path

import pytest
import torch

from trainables import DataConfig, DataError, Dataset, load_data

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
HEADER = 16


def load(folder: Path, name: str = "idx") -> Dataset:
    return load_data(DataConfig(name=name, path=str(folder), validation=0.25))


def change(file: Path, at: int, to: bytes) -> None:
    """Bytes of the content, compressed or not, replaced by others."""
    packed = file.suffix == ".gz"
    content = bytearray(gzip.decompress(file.read_bytes()) if packed else file.read_bytes())
    content[at : at + len(to)] = to
    file.write_bytes(gzip.compress(content) if packed else content)


def assert_refused(folder: Path, file: str, reason: str, name: str = "idx") -> None:
    """With an error that begins with the file's full path."""
    with pytest.raises(DataError, match=f"^{re.escape(str(folder / file))} .*{reason}"):
        load(folder, name)


def test_validation_comes_from_the_training_images_and_test_images_stay(idx_folder: Path) -> None:
    data = load(idx_folder)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [90, 30, 30]
    assert (data.input_shape, data.classes) == ((1, 6, 5), ("0", "1", "2"))
    assert data.train.targets.bincount().tolist() == [30, 30, 30]
    assert data.validation.targets.bincount().tolist() == [10, 10, 10]
    assert data.test.targets.tolist() == [index % 3 for index in range(30)]
    assert data.test.inputs.flatten().tolist() == list((idx_folder / TEST_IMAGES).read_bytes()[HEADER:])
    stored = gzip.decompress((idx_folder / TRAIN_IMAGES).read_bytes())[HEADER:]
    together = torch.cat([data.train.inputs, data.validation.inputs]).flatten(1)
    assert sorted(bytes(row.tolist()) for row in together) == sorted(
        stored[start : start + 30] for start in range(0, len(stored), 30)
    )


def test_a_folder_must_be_named() -> None:
    with pytest.raises(DataError, match=r"data\.path must name the folder"):
        load_data(DataConfig(name="idx"))


@pytest.mark.parametrize("name", ["idx", "fashion_mnist"])
def test_a_missing_folder_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path / 'nothing'))} .*does not exist"):
        load(tmp_path / "nothing", name)


@pytest.mark.parametrize("file", [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])
def test_a_missing_file_is_named(idx_folder: Path, file: str) -> None:
    (idx_folder / file).unlink()
    assert_refused(idx_folder, f"{file.removesuffix('.gz')}.gz", "is missing")


@pytest.mark.parametrize("file", [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])
def test_a_file_of_something_else_is_named(idx_folder: Path, file: str) -> None:
    change(idx_folder / file, 2, b"\x0d")
    assert_refused(idx_folder, file, "magic number 0000080[13], but begins with 00000d0[13]")


@pytest.mark.parametrize("keep", [0, 3, 4, 15, 16, 100])
def test_a_truncated_file_is_named(idx_folder: Path, keep: int) -> None:
    (idx_folder / TEST_IMAGES).write_bytes((idx_folder / TEST_IMAGES).read_bytes()[:keep])
    assert_refused(idx_folder, TEST_IMAGES, "but (begins|ends|holds)")


@pytest.mark.parametrize("keep", [1, 9, 100, -1])
def test_a_truncated_compressed_file_is_named(idx_folder: Path, keep: int) -> None:
    (idx_folder / TRAIN_IMAGES).write_bytes((idx_folder / TRAIN_IMAGES).read_bytes()[:keep])
    assert_refused(idx_folder, TRAIN_IMAGES, "is not a whole gzip file")


@pytest.mark.parametrize("place", [0, 30, -6])
def test_a_damaged_compressed_file_is_named(idx_folder: Path, place: int) -> None:
    content = bytearray((idx_folder / TRAIN_IMAGES).read_bytes())
    content[place] ^= 0xFF
    (idx_folder / TRAIN_IMAGES).write_bytes(content)
    assert_refused(idx_folder, TRAIN_IMAGES, "is not a whole gzip file")


def test_more_values_than_the_header_says_are_refused(idx_folder: Path) -> None:
    with (idx_folder / TEST_IMAGES).open("ab") as file:
        file.write(b"\0")
    assert_refused(idx_folder, TEST_IMAGES, "30 x 6 x 5 and more than none, but holds 901")


def test_no_images_are_refused(idx_folder: Path) -> None:
    (idx_folder / TEST_LABELS).write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 0)))
    assert_refused(idx_folder, TEST_LABELS, "more than none, but holds 0")


def test_fewer_labels_than_images_are_refused(idx_folder: Path) -> None:
    (idx_folder / TEST_LABELS).write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 29)) + bytes(29))
    assert_refused(idx_folder, TEST_LABELS, "a label for each of the 30 images in t10k-images-idx3-ubyte, but holds 29")


def test_a_class_that_only_the_test_images_have_is_refused(idx_folder: Path) -> None:
    change(idx_folder / TEST_LABELS, 8, b"\x07")
    assert_refused(idx_folder, TEST_LABELS, r"labels of 0 to 2, but holds 7 in row 0 \(from 0\)")


def test_labels_with_gaps_are_classes_called_by_their_numbers(idx_folder: Path) -> None:
    """As in EMNIST's letters, which count from 1."""
    before = load(idx_folder)
    for file, count in ((TRAIN_LABELS, 120), (TEST_LABELS, 30)):
        change(idx_folder / file, 8, bytes((7, 20, 255)[index % 3] for index in range(count)))
    after = load(idx_folder)
    assert after.classes == ("7", "20", "255")
    assert [after.train.targets.tolist(), after.test.targets.tolist()] == [
        before.train.targets.tolist(),
        before.test.targets.tolist(),
    ]
    change(idx_folder / TEST_LABELS, 8, b"\x08")
    assert_refused(idx_folder, TEST_LABELS, r"labels of 7, 20, 255, but holds 8 in row 0 \(from 0\)")


def test_test_images_of_another_size_are_refused(idx_folder: Path) -> None:
    change(idx_folder / TEST_IMAGES, 8, b"\0\0\0\5\0\0\0\6")
    assert_refused(
        idx_folder, TEST_IMAGES, "images of 6 x 5 pixels as the training part does, but holds images of 5 x 6"
    )


def test_labels_beyond_the_named_classes_are_refused(idx_folder: Path) -> None:
    change(idx_folder / TRAIN_LABELS, 8, b"\x0a")
    assert_refused(idx_folder, TRAIN_LABELS, "labels below 10, but holds 10", "fashion_mnist")
