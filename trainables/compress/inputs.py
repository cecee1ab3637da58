"""Inputs of a model from files, arrays and tables, by the facts of its card."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from trainables.data.column_names import checked_names, clean_name
from trainables.data.columns import encode
from trainables.data.dataset import Column, DataError, as_floats
from trainables.data.dialect import Dialect
from trainables.data.pictures import SUFFIXES, Shape, decode
from trainables.data.table_files import SUFFIXES as TABLES
from trainables.data.table_files import read_frame

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

ARRAYS = ("inputs", "x", "images", "features")
Place: TypeAlias = str | os.PathLike[str]
Given: TypeAlias = "Place | Iterable[Place] | np.ndarray | Tensor | DataFrame | Mapping[str, Sequence[Any]]"
"""A file or several; an array (N, …); a table as a DataFrame or a mapping of columns."""
Named = tuple[list[str], np.ndarray]
"""The name of each input, and the inputs (N, …) float32."""
_GIVEN = "inputs"
_KINDS = "the paths of files, an array or tensor, a DataFrame or a mapping of columns"


def all_inputs(given: Given, card: Mapping[str, Any]) -> Iterator[Named]:
    """The inputs, file by file where files are given.

    Raises TypeError at once for values of another type, and DataError, at the latest when a file is read.
    """
    array = _as_array(given)
    if array is not None:
        return iter([_numbered(_GIVEN, _floats(array, tuple(card["input"]["shape"][1:]), _GIVEN))])
    frame = _as_frame(given)
    if frame is not None:
        return iter([_numbered(_GIVEN, _features(frame, card["input"], _GIVEN))])
    files = _as_files(given)
    return (read_inputs(file, card) for file in files)


def _as_array(given: object) -> np.ndarray | None:
    import torch

    if isinstance(given, torch.Tensor):
        on_cpu = given.detach().cpu()
        array: np.ndarray = (on_cpu.float() if on_cpu.is_floating_point() else on_cpu).numpy()
        return array
    return given if isinstance(given, np.ndarray) else None


def _as_frame(given: object) -> DataFrame | None:
    """A DataFrame with clean names of columns. Raises DataError for columns that make no table."""
    import pandas as pd

    if not isinstance(given, pd.DataFrame | Mapping):
        return None
    try:
        frame = given.reset_index(drop=True) if isinstance(given, pd.DataFrame) else _joined(given)
        frame.columns = pd.Index(checked_names([str(name) for name in frame]))
    except ValueError as error:
        raise DataError(f"{_GIVEN} must be a table of columns of one length, each with a name: {error}") from error
    return frame


def _joined(given: Mapping[str, Any]) -> DataFrame:
    import pandas as pd

    arrays = {name: (column, _as_array(column)) for name, column in given.items()}
    return pd.DataFrame({name: column if array is None else array for name, (column, array) in arrays.items()})


def _as_files(given: object) -> list[Path]:
    if isinstance(given, str | os.PathLike):
        return [Path(given)]
    if not isinstance(given, Iterable):
        raise TypeError(f"{_GIVEN} must be {_KINDS}, but is {_typed(given)}")
    files = list(given)
    for place, file in enumerate(files):
        if not isinstance(file, str | os.PathLike):
            raise TypeError(f"{_GIVEN} must be {_KINDS}, but {_GIVEN}[{place}] is {_typed(file)}")
    return [Path(file) for file in files]


def _typed(value: object) -> str:
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"of type {name}"


def _numbered(source: object, inputs: np.ndarray) -> Named:
    return [f"{source}:{row}" for row in range(len(inputs))], inputs


def read_inputs(file: Path, card: Mapping[str, Any]) -> Named:
    """The inputs in a file: an image, the rows of a table, or those of an .npz file. Raises DataError with its path."""
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
    return _numbered(file, inputs)


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
    if not wanted["columns"]:
        raise DataError(f"{file} must be an .npz file, since the model's features have no names")
    frame, _ = read_frame(file, Dialect(**wanted.get("dialect", {})))
    return _features(frame, wanted, str(file))


def _features(frame: DataFrame, wanted: Mapping[str, Any], where: str) -> np.ndarray:
    """The features (N, F) of a table whose columns have clean names. Raises DataError."""
    columns = [Column.from_json(column) for column in wanted.get("columns", ())]
    if not columns:
        kind = "features have no names" if wanted["kind"] == "features" else "inputs are images"
        raise DataError(f"{where} must be an array, since the model's {kind}, but got a table")
    columns = [replace(column, name=clean_name(column.name)) for column in columns]
    for column in columns:
        if column.name not in frame:
            known = ", ".join(map(str, frame))
            raise DataError(
                f"{where} must have the column {column.name!r}, which the model was trained on; it has {known}"
            )
    try:
        features: np.ndarray = encode(frame, columns, where).numpy()
    except DataError:
        raise
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} does not fit the model: {error}") from error
    return features


def _from_arrays(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The inputs in an .npz file's array. Raises DataError."""
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
    return _floats(array, shape, f"{file}, array {name!r},")


def _floats(array: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Inputs (N, *shape) float32 of an array: uint8 is divided by 255; images may lack the axis of channels or have it
    last. Raises DataError."""
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold numbers, but holds {array.dtype}")
    if len(shape) == 3 and array.ndim == 3 and shape[0] == 1:
        array = array[:, np.newaxis]
    if len(shape) == 3 and array.ndim == 4 and array.shape[1:] != shape and array.shape[3] == shape[0]:
        array = array.transpose(0, 3, 1, 2)
    if array.shape[1:] != shape:
        hint = ", that of a single input: give inputs[None]" if array.shape == shape else ""
        raise DataError(f"{where} must have the shape (N, {', '.join(map(str, shape))}), but has {array.shape}{hint}")
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
