"""One process at a time works on a run, on a disk and in a real S3 server's bucket, whatever ended the one before."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator import lease
from orchestrator.errors import LockLost, SweepError
from orchestrator.journal import Journal
from orchestrator.lease import Claims
from orchestrator.lock import LOCK, RunLock
from trainables.claim import ClaimLost
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


def test_of_many_at_once_exactly_one_has_it(folder):
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
    assert len(has_it) == 1
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


# Whoever cannot prove that it holds the lock


def remove(folder):
    (folder / LOCK).unlink()


def replace(folder):
    remove(folder)
    (folder / LOCK).write_text("another one's")


def rename(folder):
    folder.rename(folder.with_name("elsewhere"))


def rename_and_begin_anew(folder):
    rename(folder)
    folder.mkdir()
    with RunLock(folder):
        pass


@pytest.mark.parametrize("how", [remove, replace, rename, rename_and_begin_anew])
def test_on_a_disk_the_lock_is_lost_with_its_file(tmp_path, how):
    folder = tmp_path / "run"
    with RunLock(folder) as lock:
        lock.check()
        lock.claim.check()
        how(folder)
        with pytest.raises(LockLost, match=r"lock was removed or replaced, alone or with the run's folder"):
            lock.check()
        with pytest.raises(ClaimLost):
            lock.claim.check()


def test_a_claim_ends_with_its_owner(folder):
    with RunLock(folder) as lock:
        lock.claim.check()
        first = lock.claim
    with RunLock(folder) as lock:
        lock.claim.check()
        with pytest.raises(ClaimLost):
            first.check()


WRITER = """
import sys
from pathlib import Path
from orchestrator.journal import SessionJournal
from orchestrator.lock import RunLock
from orchestrator.signals import Halt
folder = Path(sys.argv[1])
with RunLock(folder) as lock:
    journal = SessionJournal(folder / "journal", lock.check)
    journal.begin()
    number = len(list(journal.read()))
    try:
        for line in sys.stdin:
            journal.append({"number": number, "of": line.strip()})
            number += 1
            print(number, flush=True)
    except Halt as halt:
        print(halt.reason, flush=True)
"""


def test_a_process_whose_lock_was_removed_writes_no_more_when_another_has_it(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as first:

        def ask(process, text):
            print(text, file=process.stdin, flush=True)
            return process.stdout.readline()

        assert [ask(first, "first") for _ in range(2)] == ["1\n", "2\n"]
        first.send_signal(signal.SIGSTOP)
        (tmp_path / "run" / LOCK).unlink()
        with subprocess.Popen(command, **pipes) as second:
            assert ask(second, "second") == "3\n"
            first.send_signal(signal.SIGCONT)
            assert "was removed or replaced" in ask(first, "first")
            assert ask(second, "second") == "4\n"
            second.stdin.close()
        first.stdin.close()
    assert [event["of"] for event in Journal(tmp_path / "run" / "journal").read()] == ["first"] * 2 + ["second"] * 2


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass for leases only when they are told to."""
    now = [1000.0]
    monkeypatch.setattr(lease, "_now", lambda: now[0])
    return now


def test_an_owner_that_slept_has_lost_the_lease(s3_folder, clock):
    with RunLock(s3_folder) as lock:
        clock[0] += 44
        lock.check()
        clock[0] += 2
        with pytest.raises(LockLost, match="could not be renewed for 45 s"):
            lock.check()


@pytest.mark.parametrize(("seconds", "renewed"), [(5.0, True), (7.0, False)])
def test_a_renewal_that_comes_too_late_is_none(s3_folder, clock, monkeypatch, seconds, renewed):
    claims = Claims(join(s3_folder, LOCK), "me", 8)
    assert claims.take() is None

    def slow(place, data):
        clock[0] += seconds
        write_bytes(place, data)

    monkeypatch.setattr(lease, "write_bytes", slow)
    assert claims.renew() == renewed
    assert exists(claims.mine.place) == renewed


def test_whoever_chooses_for_longer_than_a_lease_withdraws(s3_folder, clock, monkeypatch):
    """Others have counted it as dead by then, and the run may be theirs."""
    late, quick = Claims(join(s3_folder, LOCK), "late", 8), Claims(join(s3_folder, LOCK), "quick", 8)

    def slow(folder):
        found = modified(folder)
        monkeypatch.setattr(lease, "modified", modified)
        delete_tree(folder)
        assert quick.take() is None
        clock[0] += 9
        return found

    monkeypatch.setattr(lease, "modified", slow)
    assert late.take() == ""
    assert len(list_files(join(s3_folder, LOCK))) == 1
