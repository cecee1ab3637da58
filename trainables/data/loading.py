"""Data by name: read and split once a node, and the same three parts for every trial of a sweep."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from trainables.config import DataConfig
from trainables.data.arrays import read_arrays
from trainables.data.cache import cached
from trainables.data.dataset import DataError, Dataset, DataWarning
from trainables.data.digits import read_digits
from trainables.data.fingerprint import key_of
from trainables.data.idx import FASHION_MNIST, read_fashion_mnist, read_idx
from trainables.data.images import read_images
from trainables.data.settings import near
from trainables.data.tables import read_table

_COMMON = frozenset({"name", "path", "validation", "test", "seed"})
_TABLE = frozenset(
    {"target", "task", "split", "drop", "categorical", "dates", "separator", "decimal", "encoding"},
)


@dataclass(frozen=True)
class Loader:
    """How one kind of data is read.

    takes: the settings that it takes beside those that all do. packages: those whose version may decide what is read.
    path: where the data are if `data.path` is left out.
    """

    read: Callable[[DataConfig], Dataset]
    takes: frozenset[str] = frozenset()
    packages: tuple[str, ...] = ()
    path: str | None = None


LOADERS = {
    "digits": Loader(read_digits),
    "fashion_mnist": Loader(read_fashion_mnist, path=FASHION_MNIST),
    "idx": Loader(read_idx),
    "images": Loader(read_images, frozenset({"size", "fit", "channels", "strict"}), ("pillow",)),
    "npz": Loader(read_arrays, frozenset({"task"})),
    "table": Loader(read_table, _TABLE, ("pandas", "pyarrow")),
}


def load_data(config: DataConfig) -> Dataset:
    """The data of that name, split by class with the config's seed; a DataWarning says what was left out of them.

    They are read once a node: whoever asks for the same again shares the memory of a file, see `cache`. Raises
    DataError.
    """
    loader = _loader(config)
    key = key_of(config, config.path or loader.path, ("scikit-learn", *loader.packages))
    data = cached(key, lambda: loader.read(config))
    for warning in data.warnings:
        warnings.warn(warning, DataWarning, stacklevel=2)
    return data


def _loader(config: DataConfig) -> Loader:
    """That of the config's name, if it takes all that the config sets."""
    if config.name not in LOADERS:
        known = ", ".join(LOADERS)
        raise DataError(f"data.name must be one of {known}, but got {config.name!r}{near(config.name, LOADERS)}")
    if config.name == "digits" and config.path is not None:
        raise DataError(f"data.path must be left out for digits, which come with scikit-learn, but got {config.path!r}")
    loader = LOADERS[config.name]
    for name, field in DataConfig.model_fields.items():
        value = getattr(config, name)
        if value != field.default and name not in _COMMON | loader.takes:
            takers = " and ".join(kind for kind, other in LOADERS.items() if name in other.takes)
            raise DataError(f"data.{name} is for {takers} and must be left out for {config.name}, but got {value!r}")
    return loader
