"""A user's own NumPy archive, in the layouts that people write, and with the slips that they make."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables import DataConfig, DataError, Dataset, TrainConfig, Trainer, load_data

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)
FEATURES = RNG.normal(size=(60, 4)) * [1, 10, 100, 1000]
LABELS = np.arange(60) % 3
VALUES = FEATURES @ [1.0, 0.2, -0.03, 0.001] + 50


def load(folder: Path, arrays: dict[str, Any], **settings: Any) -> Dataset:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return load_data(DataConfig(name="npz", path=str(path), **settings))


def assert_refused(folder: Path, arrays: dict[str, Any], name: str, reason: str, **settings: Any) -> None:
    """With an error that begins with the file and the array."""
    where = f"{folder / 'data.npz'}" + (f", array '{name}'," if name else "")
    with pytest.raises(DataError, match=f"^{re.escape(where)} .*{reason}"):
        load(folder, arrays, **settings)


def named(data: Dataset) -> list[str]:
    """Name of the class of each row of FEATURES."""
    names = {}
    for part in (data.train, data.validation, data.test):
        for row, label in zip(part.inputs.tolist(), part.targets.tolist(), strict=True):
            names[tuple(row)] = data.classes[label]
    return [names[tuple(row)] for row in FEATURES.astype(np.float32).tolist()]


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (IMAGES, (1, 6, 5)),
        (IMAGES[:, None], (1, 6, 5)),
        (IMAGES[..., None], (1, 6, 5)),
        (np.stack([IMAGES] * 3, axis=3), (3, 6, 5)),
        (np.stack([IMAGES] * 3, axis=1), (3, 6, 5)),
        (IMAGES.astype(np.int64), (1, 6, 5)),
        (IMAGES > 127, (1, 6, 5)),
    ],
)
def test_images_come_in_many_layouts(tmp_path: Path, inputs: np.ndarray, shape: tuple[int, ...]) -> None:
    data = load(tmp_path, {"x": inputs, "y": LABELS})
    assert (data.input_shape, data.classes) == (shape, ("0", "1", "2"))
    assert data.train.inputs.dtype == torch.uint8
    images = torch.cat(
        [part[:, 0].flatten(1) for part in (data.train.inputs, data.validation.inputs, data.test.inputs)]
    )
    expected = IMAGES.reshape(60, -1) if inputs.dtype != bool else (IMAGES > 127).reshape(60, -1) * 255
    assert sorted(map(tuple, images.tolist())) == sorted(map(tuple, expected.tolist()))


def test_images_may_be_floats_from_zero_to_one(tmp_path: Path) -> None:
    data = load(tmp_path, {"images": IMAGES / 255, "labels": LABELS[:, None]})
    assert data.train.inputs.dtype == torch.float32
    assert torch.allclose(data.mean, data.train.inputs.mean(dim=(0, 2, 3)))


@pytest.mark.parametrize("style", ["{kind}_{part}", "{part}_{kind}"])
@pytest.mark.parametrize("val", ["val", "validation", "valid"])
def test_parts_of_one_s_own_stay(tmp_path: Path, style: str, val: str) -> None:
    arrays = {}
    for part, rows in (("train", slice(0, 30)), (val, slice(30, 45)), ("test", slice(45, 60))):
        arrays |= {style.format(kind="X", part=part): IMAGES[rows], style.format(kind="y", part=part): LABELS[rows]}
    data = load(tmp_path, arrays)
    for part, rows in ((data.train, slice(0, 30)), (data.validation, slice(30, 45)), (data.test, slice(45, 60))):
        assert np.array_equal(part.inputs[:, 0].numpy(), IMAGES[rows])
        assert part.targets.tolist() == LABELS[rows].tolist()


def test_features_and_values_make_a_regression(tmp_path: Path) -> None:
    data = load(tmp_path, {"inputs": FEATURES, "targets": VALUES})
    assert (data.task, data.classes, data.num_outputs, data.input_shape) == ("regression", (), 1, (4,))
    assert (data.train.targets.shape, data.train.targets.dtype) == ((36, 1), torch.float32)
    assert torch.allclose(data.target_mean, data.train.targets.mean(0))
    assert torch.allclose(data.target_std, data.train.targets.std(0))
    assert torch.allclose(data.mean, data.train.inputs.mean(0), rtol=1e-4)
    assert torch.allclose(data.std, data.train.inputs.std(0))


def test_the_task_may_be_said(tmp_path: Path) -> None:
    assert load(tmp_path, {"x": FEATURES, "y": LABELS}, task="regression").task == "regression"
    assert load(tmp_path, {"x": FEATURES, "y": LABELS.astype(float)}, task="classification").classes == ("0", "1", "2")
    half = {"x": FEATURES, "y": LABELS / 2}
    assert_refused(tmp_path, half, "y", "whole numbers or texts as labels, but holds 0.5", task="classification")


def test_a_feature_that_is_always_the_same_is_scaled_by_one(tmp_path: Path) -> None:
    features = FEATURES.copy()
    features[:, 2] = 0.1
    assert float(load(tmp_path, {"x": features, "y": LABELS}).std[2]) == 1


def test_classes_may_have_names(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "owl"])
    assert load(tmp_path, {"x": IMAGES, "y": LABELS, "classes": names}).classes == ("cat", "dog", "owl")
    assert_refused(tmp_path, {"x": IMAGES, "y": LABELS, "classes": names[:1]}, "classes", "two or more")
    assert_refused(tmp_path, {"x": IMAGES, "y": LABELS, "classes": names[:2]}, "y", "0 to 1, but holds 2")
    more = np.array([*names, "yak"])
    assert_refused(tmp_path, {"x": IMAGES, "y": LABELS, "classes": more}, "y", "0 to 3, each .*but has no 3")
    for labels in (LABELS + 1, names[LABELS]):
        data = load(tmp_path, {"x": FEATURES, "y": labels, "classes": names})
        assert (data.classes, named(data)) == (("cat", "dog", "owl"), names[LABELS].tolist())
    turned = load(tmp_path, {"x": FEATURES, "y": names[LABELS], "classes": names[::-1]})
    assert (turned.classes, named(turned)) == (("owl", "dog", "cat"), names[LABELS].tolist())


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1, 2, 3], ("1", "2", "3")),
        ([-1, 0, 1], ("-1", "0", "1")),
        ([2, 9, 10], ("2", "9", "10")),
        ([np.uint8(0), np.uint8(7), np.uint8(255)], ("0", "7", "255")),
        ([10**15, 10**15 + 1, 3 * 10**18], ("1000000000000000", "1000000000000001", "3000000000000000000")),
        (["ape", "bee", "cat"], ("ape", "bee", "cat")),
        (["10", "9", "x y"], ("10", "9", "x y")),
        ([b"bee", "käse".encode(), b"z"], ("bee", "käse", "z")),
        (np.array(["2024-01-01", "2024-01-02", "2025-01-01"], "M8[D]"), ("2024-01-01", "2024-01-02", "2025-01-01")),
    ],
)
@pytest.mark.parametrize("column", [False, True])
def test_labels_are_classes_called_by_what_stood_there(
    tmp_path: Path, values: Any, names: tuple[str, ...], column: bool
) -> None:
    labels = np.array(values)[LABELS]
    data = load(tmp_path, {"x": FEATURES, "y": labels[:, None] if column else labels})
    assert (data.classes, named(data)) == (names, [names[label] for label in LABELS])


def test_truth_values_are_two_classes(tmp_path: Path) -> None:
    data = load(tmp_path, {"x": FEATURES, "y": FEATURES[:, 0] > 0})
    assert data.classes == ("False", "True")
    assert torch.equal(data.train.targets, (data.train.inputs[:, 0] > 0).long())


@pytest.mark.parametrize("kind", [np.uint8, bool, np.float32])
@pytest.mark.parametrize("by_name", [False, True])
def test_one_hot_rows_are_labels(tmp_path: Path, kind: Any, by_name: bool) -> None:
    """A column in which nothing stands is no class, unless it has a name."""
    rows = np.eye(4)[LABELS + 1].astype(kind)
    if by_name:
        rows = rows[:, 1:]
    data = load(tmp_path, {"x": FEATURES, "y": rows} | ({"classes": np.array(["c", "b", "a"])} if by_name else {}))
    assert data.classes == (("c", "b", "a") if by_name else ("1", "2", "3"))
    assert named(data) == [data.classes[label] for label in LABELS]


@pytest.mark.parametrize("row", [[1, 1, 0], [0, 0, 0], [0, 2, 0], [0.5, 0.5, 0]])
def test_rows_that_are_not_one_hot_are_refused(tmp_path: Path, row: list[float]) -> None:
    rows = np.eye(3)[LABELS]
    rows[7] = row
    assert_refused(
        tmp_path, {"x": FEATURES, "y": rows}, "y", r"one 1 in each row and 0 elsewhere, but row 7 \(from 0\)"
    )
    assert_refused(tmp_path, {"x": FEATURES, "y": rows}, "y", "must have one target in each row", task="regression")


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (LABELS + 0.5, "whole numbers or texts as labels, but holds 0.5"),
        (np.where(LABELS == 2, np.nan, LABELS), "whole numbers or texts as labels, but holds nan"),
        (np.where(LABELS == 2, np.inf, LABELS), "whole numbers or texts as labels, but holds inf"),
        (LABELS * 1j, "whole numbers or texts as labels, but holds 0j"),
        (LABELS * 0, "two classes at least"),
        (np.array(["a"] * 60), "two classes at least"),
        (np.array([b"\xff", b"a"])[LABELS % 2], "must hold labels in UTF-8"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, labels: np.ndarray, got: str) -> None:
    assert_refused(tmp_path, {"x": IMAGES, "y": labels}, "y", got, task="classification")


def test_numbers_that_may_be_values_need_a_task(tmp_path: Path) -> None:
    prices = np.arange(60) % 30 * 7
    assert_refused(tmp_path, {"x": FEATURES, "y": prices}, "y", "needs data.task.*30 different whole numbers")
    assert load(tmp_path, {"x": FEATURES, "y": prices}, task="regression").task == "regression"
    many = {"x": np.tile(FEATURES, (30, 1)), "y": np.tile(prices, 30)}
    assert len(load(tmp_path, many).classes) == 30


def test_a_class_that_is_not_trained_on_is_refused(tmp_path: Path) -> None:
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:6], "y_test": LABELS[:6] + 1}
    assert_refused(tmp_path, arrays, "y_test", r"0 to 2, but holds 3 in row 2 \(from 0\)")
    texts = {**arrays, "y_test": np.array(["0", "1", "2"])[LABELS[:6]]}
    assert_refused(tmp_path, texts, "y_test", "labels such as 0, as the training part does, but holds '0'")
    named = {"x": IMAGES, "y": np.array(["a", "b", "c"])[LABELS], "classes": np.array(["c", "b"])}
    assert_refused(tmp_path, named, "y", r"labels of c, b, but holds 'a' in row 0 \(from 0\)")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_numbers_that_are_none_are_refused(tmp_path: Path, bad: float) -> None:
    features, values = FEATURES.copy(), VALUES.copy()
    features[17, 2] = values[17] = bad
    assert_refused(tmp_path, {"x": features, "y": LABELS}, "x", r"must be finite .* row 17 \(from 0\)")
    assert_refused(tmp_path, {"x": FEATURES, "y": values}, "y", "must be finite everywhere, but is .* in row 17")
    images = np.full((60, 3, 3), 0.5)
    images[17, 0, 0] = np.nan
    assert_refused(tmp_path, {"x": images, "y": LABELS}, "x", "row 17")


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        (IMAGES / 1.0, "from 0 to 1 or be uint8 .*but holds 0.0 to 255.0"),
        (IMAGES.astype(np.uint16) * 200, "from 0 to 255 .*but holds 0 to"),
        (IMAGES.astype(np.int16) - 5, "but holds -5 to 250"),
        (IMAGES.astype(complex), "must hold numbers, but holds complex128"),
        (np.array([["a"]] * 60), "must hold numbers, but holds <U1"),
        (np.zeros(60), r"has the shape \(60,\)"),
        (np.zeros((60, 0)), r"not empty, but has the shape \(60, 0\)"),
        (np.zeros((60, 1, 1, 1, 1)), r"images of 3 or 4 axes"),
    ],
)
def test_a_wrong_shape_or_kind_of_inputs_is_refused(tmp_path: Path, inputs: np.ndarray, got: str) -> None:
    assert_refused(tmp_path, {"x": inputs, "y": LABELS}, "x", got)


def test_inputs_and_targets_must_match(tmp_path: Path) -> None:
    assert_refused(tmp_path, {"x": IMAGES, "y": LABELS[:-1]}, "y", r"each of the 60 in 'x', but has the shape \(59,\)")
    assert_refused(tmp_path, {"x": IMAGES, "y": IMAGES}, "y", r"but has the shape \(60, 6, 5\)")
    words = np.array([["a", "b"]] * 60)
    assert_refused(tmp_path, {"x": IMAGES, "y": words}, "y", r"one target in each row, but has the shape \(60, 2\)")
    test = {"x_test": IMAGES[:, :4], "y_test": LABELS}
    assert_refused(tmp_path, {"x": IMAGES, "y": LABELS, **test}, "x_test", r"shape \(1, 6, 5\) .* but has \(1, 4, 5\)")


@pytest.mark.parametrize(
    ("arrays", "got"),
    [
        ({"x": IMAGES}, "must hold arrays called inputs and targets.*but holds x"),
        ({"a": IMAGES, "b": LABELS}, "but holds a, b"),
        ({"x_test": IMAGES, "y_test": LABELS}, "but holds x_test, y_test"),
        ({"x": IMAGES, "inputs": IMAGES, "y": LABELS}, "one array of inputs for train, but holds 'x' and 'inputs'"),
    ],
)
def test_names_that_say_nothing_are_refused(tmp_path: Path, arrays: dict[str, Any], got: str) -> None:
    assert_refused(tmp_path, arrays, "", got)


def test_too_few_rows_to_split_are_refused(tmp_path: Path) -> None:
    few = {"x": FEATURES[:2], "y": VALUES[:2]}
    assert_refused(tmp_path, few, "", "data.test must hold out and leave an example, but 0.2 makes that 0 of the 2")
    assert_refused(tmp_path, {"x": FEATURES[:4], "y": LABELS[:4]}, "", "for each of 3 classes, but 0.2 makes that 1 of")


def test_values_that_never_change_are_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, {"x": FEATURES, "y": VALUES * 0}, "", "different values to predict")


class Bomb:
    """Python that would run, were it unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("an archive ran code",))


def test_python_objects_are_not_read(tmp_path: Path) -> None:
    assert_refused(tmp_path, {"x": np.array([Bomb()] * 60), "y": LABELS}, "", "without Python objects")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4 cut off", pickle.dumps([1])])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_data(DataConfig(name="npz", path=str(path)))


def test_a_damaged_or_missing_archive_is_named(tmp_path: Path) -> None:
    load(tmp_path, {"x": IMAGES, "y": LABELS})
    path = tmp_path / "data.npz"
    content = bytearray(path.read_bytes())
    content[400] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))} cannot be read"):
        load_data(DataConfig(name="npz", path=str(path)))
    np.save(tmp_path / "single.npy", IMAGES)
    with pytest.raises(DataError, match=r"must be a whole archive of arrays .*, but is none"):
        load_data(DataConfig(name="npz", path=str(tmp_path / "single.npy")))
    with pytest.raises(DataError, match=r"none\.npz must be an \.npz file .* does not exist"):
        load_data(DataConfig(name="npz", path=str(tmp_path / "none.npz")))


def test_they_train(tmp_path: Path) -> None:
    pictures = np.clip(IMAGES / 5 + LABELS[:, None, None] * 90, 0, 255).astype(np.uint8)
    data = load(tmp_path, {"x": pictures, "y": LABELS})
    config = TrainConfig.of(
        {"epochs": 5, "batch_size": 8, "model": {"name": "mlp", "width": 16}, "augment": {"shift": 0}}
    )
    assert max(epoch.val_accuracy or 0 for epoch in Trainer(config, data).epochs()) > 0.9
