"""One process at a time works on a run, on a disk and in a real S3 server's bucket, whatever ended the one before."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.errors import LockLost, SweepError
from orchestrator.lock import LOCK, RunLock
from trainables.storage import delete_file, delete_tree, exists, join, list_files, modified, write_bytes

ROOT = Path(__file__).parents[2]

OWNER = """
import sys
from orchestrator.lock import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path):
    return tmp_path / "run" if request.param == "local" else request.getfixturevalue("s3_folder")


def refused(folder):
    """The error of whoever wants the lock now."""
    with pytest.raises(SweepError) as error, RunLock(folder):
        pass
    return str(error.value)


@pytest.fixture
def killed_owner(folder):
    """The id of a process that took the lock, refused it to us and was killed, never having let go."""
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "held\n"
        for _ in range(2):
            message = refused(folder)
            assert message.startswith(f"{folder}: ")
            assert f"process {process.pid} on " in message
        process.kill()
    return process.pid


@pytest.mark.parametrize("folder", ["local"], indirect=True)
def test_the_kernel_frees_the_lock_of_a_killed_owner(folder, killed_owner):
    with RunLock(folder):
        assert json.loads((folder / LOCK).read_bytes())["pid"] == os.getpid()


@pytest.mark.parametrize("folder", ["s3"], indirect=True)
def test_the_lease_of_a_killed_owner_runs_out(folder, killed_owner):
    assert f"process {killed_owner} " in refused(folder)
    with RunLock(folder, lease_s=0):
        assert len(list_files(join(folder, LOCK))) == 1


def test_it_is_free_after_its_owner_whether_that_failed_or_not(folder):
    with pytest.raises(KeyError), RunLock(folder):
        raise KeyError
    with RunLock(folder) as lock:
        lock.check()
    with RunLock(folder):
        pass


def test_it_outlives_the_removal_of_everything_else(folder):
    with RunLock(folder):
        write_bytes(join(folder, "journal", "000001.jsonl"), b"")
        delete_tree(folder, keep=[LOCK])
        assert not exists(join(folder, "journal", "000001.jsonl"))
        refused(folder)


def test_of_many_at_once_at_most_one_has_it(folder):
    together, has_it = threading.Barrier(6), []

    def attempt():
        together.wait()
        try:
            with RunLock(folder):
                has_it.append(True)
                together.wait()
        except SweepError:
            together.wait()

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(has_it) <= 1
    with RunLock(folder):
        pass


def test_an_owner_renews_its_lease_and_notices_its_loss(s3_folder):
    claims = join(s3_folder, LOCK)
    with RunLock(s3_folder, lease_s=4) as lock:
        (name,) = list_files(claims)
        first = modified(claims)[name]
        while modified(claims)[name] == first:
            lock.check()
        delete_file(join(claims, name))
        with pytest.raises(LockLost, match=r"the lock .* is lost"):
            _check_for_ever(lock)
        assert list_files(claims) == []


def _check_for_ever(lock):
    while True:
        lock.check()
