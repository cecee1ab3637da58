"""What every test shares: one thread a process, reproducible property tests, and one Ray for the whole session."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from orchestrator import Sweep

# What a user who starts in the project's folder has; workers get it from there.
sys.path.insert(0, str(Path(__file__).parents[1]))

# torch and the BLAS libraries read these when they are first imported, which is after this file is.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# For the S3 server below, from the start: Ray's processes have the environment in which Ray was started.
os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}

# Decoded data of this session alone, for Ray's processes, too.
os.environ["HALVING_CACHE"] = tempfile.mkdtemp(prefix="halving-tests-")
atexit.register(shutil.rmtree, os.environ["HALVING_CACHE"], ignore_errors=True)

settings.register_profile("halving", deadline=None, derandomize=True, database=None)
settings.load_profile("halving")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A Ray of four slots, whatever the machine has, so that two trials of two workers fit side by side."""
    from orchestrator.cluster import connected

    with connected(cpus=4):
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take a minute or more, too")
    parser.addoption("--operations", type=int, default=600, help="steps of the simulated drivers, over all histories")
    parser.addoption("--kills", type=int, default=1, help="how often the driver is killed in each test of that")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="a minute or more: make faults runs it"))


@pytest.fixture
def operations(request: pytest.FixtureRequest) -> int:
    """The steps of simulated drivers that a test takes over all its histories."""
    return int(request.config.getoption("--operations"))


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a test kills its driver: few in a quick run, `make faults` asks for more."""
    return int(request.config.getoption("--kills"))


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Sweep]:
    """Makes a sweep over a small MLP in `tmp_path`: few epochs, real training; keyword arguments replace sections."""

    def make(**changes: Any) -> Sweep:
        from orchestrator.sweep import make_sweep

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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 server of this process on the loopback interface: the options with which a URI finds it."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import FileSystem

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    system, _ = FileSystem.from_uri(f"s3://tests?{options}&allow_bucket_creation=true")
    system.create_dir("tests")
    yield options
    server.stop()


@pytest.fixture
def s3_folder(s3_server: str) -> str:
    """The URI of a folder that no other test uses."""
    return f"s3://tests/{uuid4().hex}?{s3_server}"
