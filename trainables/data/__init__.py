"""Where examples come from, and how they are parted for training, validation and test."""

from trainables.data.dataset import DataError, Dataset, Split, as_floats
from trainables.data.loading import FASHION_MNIST, LOADERS, load_data

__all__ = ["FASHION_MNIST", "LOADERS", "DataError", "Dataset", "Split", "as_floats", "load_data"]
