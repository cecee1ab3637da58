"""A node that goes takes its trials with it; they go on elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator import open_run

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_trials_of_a_lost_node_go_on_elsewhere(sweep, tmp_path):
    path = tmp_path / "node.yaml"
    train = {"model": {"name": "mlp"}, "epochs": 60}
    path.write_text(yaml.safe_dump(sweep("node", concurrent=2, asha=None, compress=None, train=train)))
    script = Path(__file__).with_name("lose_a_node.py")
    done = subprocess.run([sys.executable, str(script), str(path)], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "node")
    assert run.trials()["status"].tolist() == ["completed"] * 6
    assert run.trials()["epochs"].tolist() == [60] * 6
    assert run.trials()["faults"].sum() >= 1
    assert not run.epochs().duplicated(["trial", "epoch"]).any()
