"""Drivers as processes of their own, to be killed at a moment that the journal tells."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from orchestrator.events import Event
from orchestrator.journal import Journal
from trainables.storage import Place, join

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240


class Driver:
    """`halving` on a run folder, on the session's Ray, as a process of its own."""

    def __init__(self, folder: Place, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments, "--quiet"],
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def events(self) -> list[Event]:
        return list(Journal(join(self.folder, "journal")).read())

    def wait_until(self, happened: Callable[[list[Event]], Any]) -> bool:
        """Looks at the journal until it is so, or until the driver has ended; whether it was so."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if happened(self.events()):
                return True
            time.sleep(0.002)
        return bool(happened(self.events()))

    def kill(self) -> None:
        """kill -9: nothing of the driver runs after it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def finish(self) -> int:
        """The driver's exit code, when it has ended by itself."""
        self.output, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


@pytest.fixture
def drive(ray_session, tmp_path, monkeypatch):
    """Starts a driver: drive(sweep) runs a new sweep, drive(folder) resumes a run. Those left at the end are killed."""
    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    drivers: list[Driver] = []

    def start(what: dict[str, Any] | Place) -> Driver:
        if not isinstance(what, dict):
            drivers.append(Driver(what, "resume", str(what)))
        else:
            path = tmp_path / f"{what['name']}.yaml"
            path.write_text(yaml.safe_dump(what))
            drivers.append(Driver(join(what["storage"], what["name"]), "run", str(path)))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()


@pytest.fixture
def sweep(tmp_path):
    """A sweep of every phase: proposals, rungs, early ends, compression."""

    def make(name: str, **changes: Any) -> dict[str, Any]:
        values = {
            "name": name,
            "storage": str(tmp_path),
            "space": {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.3]}, "model.width": {"grid": [8, 16]}}},
            "search": {"name": "bayes", "trials": 6},
            "asha": {"grace_period": 1, "reduction_factor": 2},
            "concurrent": 1,
            "train": {"model": {"name": "mlp"}, "epochs": 4},
            "compress": {"best": 1, "keep_macs": [0.5], "epochs": 1},
        }
        return {**values, **changes}

    return make
