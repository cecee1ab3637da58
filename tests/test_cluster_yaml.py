"""cluster.yaml is what `ray up` accepts, and keeps the cluster closed to strangers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


@pytest.fixture
def starts(config: dict[str, Any]) -> dict[str, str]:
    """The one command of the head, and the one of a worker, that starts Ray."""
    found = {}
    for role in ("head", "worker"):
        (found[role],) = (line for line in config[f"{role}_start_ray_commands"] if "ray start" in line)
    return found


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    prepared = prepare_config(config)

    validate_config(prepared)

    assert prepared["max_workers"] == len(config["provider"]["worker_ips"])


def test_ray_refuses_an_unknown_key(config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="set_up_commands"):
        validate_config(prepare_config(config | {"set_up_commands": []}))


@pytest.mark.parametrize("key", COMMANDS)
def test_commands_are_text(config: dict[str, Any], key: str) -> None:
    assert all(isinstance(line, str) for line in config[key])  # `- true` would be a boolean, which `ray up` chokes on


def test_files_that_are_copied_are_there(config: dict[str, Any]) -> None:
    local = [path for path in config["file_mounts"].values() if not path.startswith("~")]

    assert local
    assert [path for path in local if not (ROOT / path).exists()] == []


def test_the_token_is_copied_and_no_secret_is_written_down(config: dict[str, Any]) -> None:
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "RAY_AUTH_TOKEN=" not in (ROOT / "cluster.yaml").read_text()


@pytest.mark.parametrize("role", ["head", "worker"])
def test_every_node_wants_the_token_and_uses_one_thread_a_process(starts: dict[str, str], role: str) -> None:
    exported = starts[role].split(";")[0].split()

    assert exported[0] == "export"
    assert {"RAY_AUTH_MODE=token", "OMP_NUM_THREADS=1"} <= set(exported)


def test_the_head_serves_jobs_on_loopback_only(starts: dict[str, str]) -> None:
    assert "--dashboard-host=127.0.0.1" in starts["head"]
    assert "RAY_enable_autoscaler_v2=0" in starts["head"]
