"""Where examples come from, and how they are parted for training, validation and test."""

from trainables.data.dataset import Column, DataError, Dataset, DataWarning, Split, Task, as_floats
from trainables.data.idx import FASHION_MNIST
from trainables.data.loading import LOADERS, load_data

__all__ = [
    "FASHION_MNIST",
    "LOADERS",
    "Column",
    "DataError",
    "DataWarning",
    "Dataset",
    "Split",
    "Task",
    "as_floats",
    "load_data",
]
