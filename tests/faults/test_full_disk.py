"""A disk that fills ends the run with its say, and with room again the run goes on."""

import os
import subprocess

import pytest

from orchestrator import open_run

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB in memory, and a way to make it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(drive, sweep, small_disk):
    folder, enlarge = small_disk
    wide = {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.3]}, "model.width": {"grid": [192, 224, 256]}}}
    driver = drive(
        sweep("full", storage=str(folder), space=wide, search={"name": "random", "trials": 6}, compress=None)
    )
    assert driver.finish() == 3, driver.output
    assert "No space left" in driver.output
    assert "halving resume" in driver.output
    enlarge()
    again = drive(driver.folder)
    assert again.finish() == 0, again.output
    trials = open_run(driver.folder).trials()
    assert len(trials) == 6
    assert set(trials["status"]) <= {"completed", "stopped"}
