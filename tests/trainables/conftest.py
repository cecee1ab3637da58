import gzip
import struct
import sys
from pathlib import Path

import numpy as np
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


def idx_bytes(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """MNIST's four files, those for testing not compressed: 120 and 30 images of noise, 6x5 pixels, three classes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 120), ("t10k", 30)):
        images = rng.integers(0, 256, (count, 6, 5), dtype=np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        for name, values in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = idx_bytes(values)
            if part == "train":
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (tmp_path / name).write_bytes(content)
    return tmp_path
