"""Arrays in a NumPy archive: images or features, with labels or values."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.config import DataConfig
from trainables.data.dataset import DataError, Dataset, Split
from trainables.data.labels import Classes, find_classes, from_one_hot, named_classes
from trainables.data.settings import required_path
from trainables.data.splitting import PARTS, Given, part_of, split
from trainables.data.statistics import lost_in_float32, mean_std
from trainables.data.targets import as_values, target_mean_std

INPUTS = ("inputs", "x", "images", "data", "features")
TARGETS = ("targets", "y", "labels")
CLASSES = "classes"
_MOST_NAMED = 20


@dataclass(frozen=True)
class _Array:
    """One array of an archive; as text, what errors call it."""

    path: Path
    name: str
    values: np.ndarray

    def __str__(self) -> str:
        return f"{self.path}, array {self.name!r},"


def read_arrays(config: DataConfig) -> Dataset:
    """An .npz file with inputs and targets, or with those of each part, such as x_train and y_train.

    Inputs: features (N, F), or images (N, H, W), (N, C, H, W) or (N, H, W, C), uint8 or floats in [0, 1]; of C and the
    last axis the shorter one is the channels. Targets: labels, which are whole numbers, texts, truth values or one-hot,
    or for regression values. An array `classes` may name the classes. Raises DataError.
    """
    path = required_path(config, "an .npz file with the arrays inputs and targets")
    arrays = _arrays(path)
    pairs = _pairs(path, arrays)
    inputs = {part: _inputs(pair[0]) for part, pair in pairs.items()}
    _check_shapes(pairs, inputs)
    classes, targets = _targets({part: pair[1] for part, pair in pairs.items()}, arrays.get(CLASSES), config)
    given = Given(**{part: Split(inputs[part], targets[part]) for part in pairs})
    train, validation, test = split(given, config, classes)
    data = Dataset(train, validation, test, classes, *mean_std(train.inputs), warnings=_lost(pairs["train"][0]))
    return data if classes else target_mean_std(data, config)


def _arrays(path: Path) -> dict[str, _Array]:
    """All arrays by name. Objects are not read: they could run code."""
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} must be a whole archive of arrays (.npz), as numpy.savez makes it, but is none")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _Array(path, name, archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{path} cannot be read as an .npz file without Python objects: {error}") from error


def _pairs(path: Path, arrays: Mapping[str, _Array]) -> dict[str, tuple[_Array, _Array]]:
    """Inputs and targets of each part; arrays without a part in their name are for training."""
    found: dict[str, dict[str, _Array]] = {"inputs": {}, "targets": {}}
    for name, array in arrays.items():
        kind, part = _kind_and_part(name)
        if kind and part in found[kind]:
            both = f"{found[kind][part].name!r} and {name!r}"
            raise DataError(f"{path} must hold one array of {kind} for {part}, but holds {both}")
        if kind:
            found[kind][part] = array
    inputs, targets = found["inputs"], found["targets"]
    if "train" not in inputs or inputs.keys() != targets.keys():
        wanted = "inputs and targets, x and y, or such as x_train and y_train for every part"
        raise DataError(f"{path} must hold arrays called {wanted}, but holds {', '.join(arrays) or 'none'}")
    return {part: (inputs[part], targets[part]) for part in PARTS if part in inputs}


def _kind_and_part(name: str) -> tuple[str, str]:
    """Such as ("inputs", "train") for x, x_train and train_x; ("", "") for a name of something else."""
    first, _, last = name.lower().partition("_")
    for kind, names in (("inputs", INPUTS), ("targets", TARGETS)):
        if first in names and (not last or part_of(last)):
            return kind, part_of(last) or "train"
        if last in names and part_of(first):
            return kind, part_of(first) or "train"
    return "", ""


def _inputs(array: _Array) -> Tensor:
    values = array.values
    if not 2 <= values.ndim <= 4 or not values.size:
        wanted = "features (N, F) or images of 3 or 4 axes, and not empty"
        raise DataError(f"{array} must be {wanted}, but has the shape {values.shape}")
    if values.dtype.kind not in "fiub":
        raise DataError(f"{array} must hold numbers, but holds {values.dtype}")
    return _features(array) if values.ndim == 2 else _images(array)


def _features(array: _Array) -> Tensor:
    with np.errstate(over="ignore"):
        features = torch.from_numpy(array.values.astype(np.float32))
    _check_finite(array, features)
    return features


def _lost(array: _Array) -> tuple[str, ...]:
    """A warning on features that float32 does not tell apart."""
    if array.values.ndim != 2:
        return ()
    found = [str(number) for number in np.flatnonzero(lost_in_float32(array.values))]
    if not found:
        return ()
    more = ", …" if len(found) > _MOST_NAMED else ""
    which = f"columns {', '.join(found[:_MOST_NAMED])}{more} (from 0)"
    rule = "differ by less than float32 can tell: subtract a number near them before saving"
    return (f"{array} {which} hold numbers that {rule}",)


def _images(array: _Array) -> Tensor:
    """(N, C, H, W), uint8 or float32."""
    values = array.values
    if values.ndim == 3:
        values = values[:, np.newaxis]
    elif values.shape[3] < values.shape[1]:
        values = values.transpose(0, 3, 1, 2)
    if values.dtype.kind == "f":
        images = torch.from_numpy(np.ascontiguousarray(values, np.float32))
        _check_finite(array, images)
        _check_range(array, 1, "or be uint8 from 0 to 255")
        return images
    _check_range(array, 255, "as grey levels have, or be floats from 0 to 1")
    return torch.from_numpy(np.ascontiguousarray(values, np.uint8) * np.uint8(255 if values.dtype.kind == "b" else 1))


def _check_finite(array: _Array, values: Tensor) -> None:
    rows = (~values.flatten(1).isfinite()).any(1).nonzero()
    if len(rows):
        raise DataError(f"{array} must be finite in float32 everywhere, but is not in row {int(rows[0])} (from 0)")


def _check_range(array: _Array, most: int, otherwise: str) -> None:
    low, high = array.values.min(), array.values.max()
    if low < 0 or high > most:
        raise DataError(f"{array} must hold values from 0 to {most} {otherwise}, but holds {low} to {high}")


def _check_shapes(pairs: Mapping[str, tuple[_Array, _Array]], inputs: Mapping[str, Tensor]) -> None:
    model, shape, kind = pairs["train"][0].name, inputs["train"].shape[1:], inputs["train"].dtype
    for part, (array, targets) in pairs.items():
        mine = inputs[part]
        if len(targets.values) != len(mine) or targets.values.ndim not in (1, 2):
            got = f"has the shape {targets.values.shape}"
            raise DataError(f"{targets} must have a target for each of the {len(mine)} in {array.name!r}, but {got}")
        if mine.shape[1:] != shape or mine.dtype != kind:
            raise DataError(
                f"{array} must have examples of the shape {tuple(shape)} and of {kind} as {model!r} has, but has "
                f"{tuple(mine.shape[1:])} and {mine.dtype}"
            )


def _targets(
    arrays: Mapping[str, _Array], names: _Array | None, config: DataConfig
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The classes, none for regression, and the targets of each part."""
    one_hot = arrays["train"].values.shape[1:] not in ((), (1,))
    kind = arrays["train"].values.dtype.kind
    if config.task == "regression" or (config.task is None and kind == "f" and not one_hot):
        return (), {part: as_values(str(array), _column(array)) for part, array in arrays.items()}
    column = _one_hot if one_hot else _column
    targets = {part: column(array) for part, array in arrays.items()}
    classes = _classes(arrays["train"], targets["train"], names, config)
    labels = {part: classes.labels(str(array), targets[part]) for part, array in arrays.items()}
    classes.check_all_occur(str(arrays["train"]), labels["train"])
    return classes.names, labels


def _classes(array: _Array, targets: np.ndarray, names: _Array | None, config: DataConfig) -> Classes:
    if names:
        return named_classes(str(array), targets, _names(names))
    return find_classes(str(array), targets, certain=config.task == "classification")


def _column(array: _Array) -> np.ndarray:
    """Targets (N,)."""
    values = array.values
    if values.shape not in ((len(values),), (len(values), 1)):
        raise DataError(f"{array} must have one target in each row, but has the shape {values.shape}")
    return values.reshape(len(values))


def _one_hot(array: _Array) -> np.ndarray:
    if array.values.ndim != 2 or array.values.dtype.kind not in "fiub":
        return _column(array)
    return from_one_hot(str(array), array.values)


def _names(array: _Array) -> tuple[str, ...]:
    names = array.values
    if names.ndim != 1 or len(np.unique(names)) < max(2, len(names)):
        raise DataError(f"{array} must hold two or more different names, but holds {names.tolist()!r:.80}")
    return tuple(str(name) for name in names)
