"""What every test shares: one thread a process, reproducible property tests, and one Ray for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# torch and the BLAS libraries read these when they are first imported, which is after this file is.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

settings.register_profile("halving", deadline=None, derandomize=True, database=None)
settings.load_profile("halving")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A Ray of four slots, whatever the machine has, so that two trials of two workers fit side by side."""
    from orchestrator.cluster import connected

    with connected(cpus=4):
        yield
