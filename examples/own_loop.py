"""A training loop of one's own: logistic regression on the digits, in plain NumPy.

`python examples/own_loop.py` runs it here, without Ray; `halving run examples/own-loop.yaml` searches with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from trainables.loop import LocalTrial, LoopTrial

TRAINING = 1400


def train(config: dict[str, Any], trial: LoopTrial) -> None:
    """Gradient descent with momentum; `config` has lr, momentum, decay and batch_size."""
    images, labels = load_digits(return_X_y=True)
    images, wanted = images / 16, np.eye(10)[labels]
    weights, velocity, start = np.zeros((64, 10)), np.zeros((64, 10)), 0
    if saved := trial.load():
        weights, velocity = saved["weights"].numpy(), saved["velocity"].numpy()
        start = saved["epoch"]
    for epoch in range(start, trial.epochs):
        order = np.random.default_rng([trial.seed, epoch]).permutation(TRAINING)
        for rows in np.array_split(order, TRAINING // config["batch_size"]):
            error = softmax(images[rows] @ weights) - wanted[rows]
            velocity = config["momentum"] * velocity - config["lr"] * images[rows].T @ error / len(rows)
            weights += velocity - config["lr"] * config["decay"] * weights
        shares = softmax(images[TRAINING:] @ weights)
        right = shares.argmax(1) == labels[TRAINING:]
        tensors = {"weights": torch.from_numpy(weights), "velocity": torch.from_numpy(velocity)}
        trial.save({**tensors, "epoch": epoch + 1})
        trial.report(accuracy=right.mean(), loss=-np.log((shares * wanted[TRAINING:]).sum(1)).mean())


def softmax(scores: np.ndarray) -> np.ndarray:
    """Of each row."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(1, keepdims=True)
    return shares


if __name__ == "__main__":
    train({"lr": 0.1, "momentum": 0.9, "decay": 0.0, "batch_size": 64}, LocalTrial(epochs=5, metric="accuracy"))
