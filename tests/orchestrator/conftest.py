"""A sweep small enough to run many of: few epochs, tiny networks, real Ray and real training."""

import sys
from pathlib import Path

import pytest

from orchestrator.sweep import make_sweep

# What a user who starts in the project's folder has; the workers get it from there.
sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture
def tiny(tmp_path):
    """Makes a sweep over a small MLP in `tmp_path`; keyword arguments replace whole sections."""

    def make(**changes):
        sweep = {
            "name": "tiny",
            "storage": str(tmp_path),
            "space": {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.3]}, "model.width": {"grid": [8, 16]}}},
            "search": {"name": "random", "trials": 4},
            "asha": {"grace_period": 1, "reduction_factor": 2},
            "concurrent": 1,
            "train": {"model": {"name": "mlp"}, "epochs": 4},
        }
        return make_sweep({**sweep, **changes})

    return make
