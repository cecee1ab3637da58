import sys
from pathlib import Path

import pytest
import torch

from trainables import DataConfig, Dataset, load_data

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_data(DataConfig())


@pytest.fixture(scope="session")
def own_modules() -> None:
    """Makes a user's own modules importable, here and in the processes started from here."""
    sys.path.insert(0, str(Path(__file__).parent / "own_modules"))
