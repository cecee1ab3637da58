"""The Ray cluster that a sweep runs on: one that is there, or one started on this machine for the time of the run."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import site
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray.job_config import JobConfig

from orchestrator.errors import SweepError
from orchestrator.sweep import WorkerConfig

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread a process: several trials a machine with a thread pool each slow one another down by an order."""


_SCRATCH = 16 * 2**20
"""Bytes free in the folder for temporary files, without which Ray does not start or dies at work."""


@contextmanager
def connected(cpus: int | None = None) -> Iterator[None]:
    """Joins the cluster that RAY_ADDRESS names, else starts one here on the loopback interface and ends it after.

    A Ray that this process has already joined is used and left as it is. Raises SweepError if there is none to be had.

    Args:
        cpus: what a cluster started here offers; None offers every core.
    """
    if ray.is_initialized():
        yield
        return
    check_scratch()
    _authenticate()
    try:
        _join_or_start(cpus)
    except Exception as error:  # Ray raises bare exceptions here, with a page of text
        raise SweepError(f"Ray cannot be started or joined: {str(error).splitlines()[0]}") from None
    try:
        yield
    finally:
        ray.shutdown()


def check_scratch() -> None:
    """Raises SweepError if a folder for temporary files has no room for what Ray and the search keep there."""
    named = [os.environ.get(name) for name in ("RAY_TMPDIR", "TMPDIR")]
    try:
        for folder in dict.fromkeys([*filter(None, named), tempfile.gettempdir()]):
            free = shutil.disk_usage(folder).free
            if free < _SCRATCH:
                rule = f"must have {_SCRATCH >> 20} MiB free for temporary files, but has {free >> 20}"
                raise SweepError(f"{folder}: {rule}; make room, or set TMPDIR to another folder")
    except OSError as error:
        where = error.filename or "TMPDIR"
        raise SweepError(f"{where}: must be a folder for temporary files, but: {error.strerror}") from None


def _join_or_start(cpus: int | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "job_config": _OwnPath()}
    needed = {name: os.environ.get(name, "1") for name in THREADS} | {"PYTHONPATH": _python_path()}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet, runtime_env={"env_vars": needed})
        return
    # Ray reads this setting when it is imported, which may have been before the settings were made.
    ray_constants.ENABLE_RAY_CLUSTER = os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "0") in ("1", "true")
    # A Ray started here hands on the environment that it is started in; a runtime environment takes two seconds more.
    with _environment(needed):
        ray.init(**quiet, num_cpus=cpus, include_dashboard=False)


class _OwnPath(JobConfig):
    """Keeps this process's folders off the front of the workers' import path, where a user's random.py would hide
    Python's: `UserCode` puts them last."""

    def _runtime_env_has_working_dir(self) -> bool:
        return True


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables inside, and what was there before again after it."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def slots(workers: WorkerConfig) -> int:
    """How many trials fit the cluster side by side.

    Raises:
        SweepError: not even one does.
    """
    have = ray.cluster_resources()
    want = {"CPU": workers.count * workers.cpus, "GPU": workers.count * workers.gpus}
    for name, amount in want.items():
        if amount > have.get(name, 0):
            raise SweepError(
                f"workers: a trial's workers must fit the cluster, but {workers.count} of them want {amount:g} {name}s "
                f"and the cluster has {have.get(name, 0):g}"
            )
    return min(int(have[name] // amount) for name, amount in want.items() if amount)


def _authenticate() -> None:
    """A cluster started here gets a token of its own, kept in this process's environment and on no disk."""
    if not any(os.environ.get(name) for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _python_path() -> str:
    """PYTHONPATH as it is, with this project's folder if nothing else leads to that."""
    own, given = str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")
    folders = [Path(folder) for folder in [*site.getsitepackages(), site.getusersitepackages()]]
    linked = (file for folder in folders for file in folder.glob("*.pth"))
    known = {*map(str, folders), *given.split(os.pathsep)}
    if own in known or any(own in file.read_text(errors="replace").splitlines() for file in linked):
        return given
    return os.pathsep.join(filter(None, [own, given]))
