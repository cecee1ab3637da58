"""The Ray that is started for a run: it listens on this machine alone, and only its own processes may join it."""

import os
from importlib import import_module
from ipaddress import ip_address

import pytest
import ray

psutil = import_module("psutil")  # Ray brings its own, which is found once Ray has been imported

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


@pytest.fixture
def servers():
    """The processes that Ray starts first, of which all others are children."""
    found = {child.name(): child for child in psutil.Process().children()}
    return [found["gcs_server"], found["raylet"]]


def test_ray_listens_on_the_loopback_interface_alone(servers):
    ray.get(ray.remote(lambda: None).remote())
    workers = [worker for server in servers for worker in server.children(recursive=True)]
    addresses = [
        connection.laddr.ip.removeprefix("::ffff:")
        for process in [psutil.Process(), *servers, *workers]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(addresses) > 3
    assert [address for address in addresses if not ip_address(address).is_loopback] == []


def test_every_process_of_ray_asks_for_a_token(servers):
    # A worker's changed title covers its environment.
    worker = ray.get(ray.remote(lambda: dict(os.environ)).remote())
    environments = [worker, *(server.environ() for server in servers)]
    assert {environment.get("RAY_AUTH_MODE") for environment in environments} == {"token"}
    assert {environment.get("RAY_AUTH_TOKEN") for environment in environments} == {os.environ["RAY_AUTH_TOKEN"]}
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
