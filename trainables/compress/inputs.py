"""From a user's files to what a model takes, as its card says it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.column_names import clean_name
from trainables.data.columns import encode
from trainables.data.dataset import Column, DataError, as_floats
from trainables.data.dialect import Dialect
from trainables.data.pictures import SUFFIXES, Shape, decode
from trainables.data.table_files import SUFFIXES as TABLES
from trainables.data.table_files import read_frame

ARRAYS = ("inputs", "x", "images", "features")


def read_inputs(file: Path, card: Mapping[str, Any]) -> tuple[list[str], np.ndarray]:
    """What each input is called, and the inputs (N, …) float32: an image, the rows of a table, those of an .npz file.

    Raises DataError, which names the file.
    """
    if not file.is_file():
        raise DataError(f"{file} must be a file to predict for, but {'is a folder' if file.is_dir() else 'is missing'}")
    wanted, name = card["input"], file.name.lower()
    if name.endswith(".npz"):
        inputs = _from_arrays(file, tuple(wanted["shape"][1:]))
    elif wanted["kind"] == "images" and file.suffix.lower() in SUFFIXES:
        return [str(file)], _from_image(file, wanted)
    elif wanted["kind"] == "features" and name.endswith(TABLES):
        inputs = _from_table(file, wanted)
    else:
        kinds = sorted(SUFFIXES) if wanted["kind"] == "images" else TABLES
        raise DataError(
            f"{file} must be {', '.join(kinds)} or .npz by its name, since the model takes {wanted['kind']}"
        )
    return [f"{file}:{row}" for row in range(len(inputs))], inputs


def _from_image(file: Path, wanted: Mapping[str, Any]) -> np.ndarray:
    import torch

    if "image" not in wanted:
        raise DataError(f"{file}: the model takes images of {wanted['shape'][1]} channels, which only an .npz can hold")
    image = wanted["image"]
    shape = Shape(image["height"], image["width"], image["mode"] == "RGB", image["fit"], resize=True)
    pixels = np.zeros((1, *shape.array), np.uint8)
    for reason in decode([file], shape, pixels, skip=()).broken.values():
        raise DataError(f"{file} cannot be read as an image: {reason}")
    floats: np.ndarray = as_floats(torch.from_numpy(pixels)).numpy()
    return floats


def _from_table(file: Path, wanted: Mapping[str, Any]) -> np.ndarray:
    columns = [Column.from_json(column) for column in wanted["columns"]]
    if not columns:
        raise DataError(f"{file} must be an .npz file, since the model's features have no names")
    columns = [replace(column, name=clean_name(column.name)) for column in columns]
    frame, _ = read_frame(file, Dialect(**wanted.get("dialect", {})))
    for column in columns:
        if column.name not in frame:
            known = ", ".join(map(str, frame))
            raise DataError(
                f"{file} must have the column {column.name!r}, which the model was trained on; it has {known}"
            )
    try:
        features: np.ndarray = encode(frame, columns, file).numpy()
    except DataError:
        raise
    except (TypeError, ValueError) as error:
        raise DataError(f"{file} does not fit the model: {error}") from error
    return features


def _from_arrays(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The array of inputs: uint8 is divided by 255; images may lack the axis of channels or have it last."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            name = next(_names(list(arrays)), None)
            if name is None:
                known = ", ".join(arrays)
                raise DataError(f"{file} must hold an array called {', '.join(ARRAYS)}, or just one; it holds {known}")
            array: np.ndarray = arrays[name]
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    where = f"{file}, array {name!r},"
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold numbers, but holds {array.dtype}")
    if len(shape) == 3 and array.ndim == 3 and shape[0] == 1:
        array = array[:, np.newaxis]
    if len(shape) == 3 and array.ndim == 4 and array.shape[1:] != shape and array.shape[3] == shape[0]:
        array = array.transpose(0, 3, 1, 2)
    if array.shape[1:] != shape:
        raise DataError(f"{where} must have the shape (N, {', '.join(map(str, shape))}), but has {array.shape}")
    floats = np.ascontiguousarray(array, np.float32) / (255 if array.dtype == np.uint8 and len(shape) == 3 else 1)
    if not np.isfinite(floats).all():
        raise DataError(f"{where} must be finite everywhere, but is not")
    if len(shape) == 3 and floats.size and not 0 <= floats.min() <= floats.max() <= 1:
        span = f"{floats.min():.4g} to {floats.max():.4g}"
        raise DataError(f"{where} must hold images from 0 to 1, or of uint8, but holds {span}")
    return floats


def _names(known: list[str]) -> Iterator[str]:
    for name in known:
        if name.lower() in ARRAYS:
            yield name
    if len(known) == 1:
        yield known[0]
