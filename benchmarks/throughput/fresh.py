"""A new process that loads the data itself, up to its first step."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import SGD


def read(path: Path, header: int) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header).copy())


def main(folder: Path, batch_size: int, width: int) -> None:
    torch.set_num_threads(1)
    images = read(folder / "train-images-idx3-ubyte.gz", 16).reshape(-1, 784).float() / 255
    labels = read(folder / "train-labels-idx1-ubyte.gz", 8).long()
    images = (images - images.mean()) / images.std()
    model = nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True)
    rows = torch.randperm(len(labels))[:batch_size]
    nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
    optimizer.step()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
