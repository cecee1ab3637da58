"""Faults of the disk that a run lives on end the run and leave its trials open."""

import errno
import os
import subprocess

import pytest

from orchestrator.cluster import check_scratch
from orchestrator.errors import DiskFull, StoreFailed, SweepError, unfinished
from orchestrator.journal import Journal, SessionJournal
from orchestrator.signals import Halt
from trainables.checkpoint import load_last, replace_checkpoint
from trainables.storage import StoreError, write_bytes


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, and a way to mount it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield folder, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_turns_read_only_ends_the_run_and_loses_nothing(disk):
    folder, remount = disk
    journal = SessionJournal(folder / "journal", list)
    journal.begin()
    journal.append({"number": 0})
    journal.close()
    replace_checkpoint(folder / "0001" / "last.pt", {"epoch": 1})
    remount("ro")
    with pytest.raises(Halt) as halt:
        SessionJournal(folder / "journal", list).begin()
    assert isinstance(halt.value.reason, StoreFailed)
    assert "Read-only file system" in str(halt.value.reason)
    with pytest.raises(StoreError, match="Read-only file system") as error:
        replace_checkpoint(folder / "0001" / "last.pt", {"epoch": 2})
    assert isinstance(unfinished(error.value), StoreFailed)
    remount("rw")
    assert load_last(folder / "0001" / "last.pt") == ({"epoch": 1}, "")
    Journal(folder / "journal").append({"number": 1})
    assert [event["number"] for event in Journal(folder / "journal").read()] == [0, 1]


def test_a_full_disk_is_told_from_other_faults(disk):
    folder, _ = disk
    with pytest.raises(StoreError) as error:
        write_bytes(folder / "large", bytes(2 * 2**20))
    assert isinstance(unfinished(error.value), DiskFull)
    assert list(folder.iterdir()) == []


def test_a_folder_that_became_a_file_is_a_fault_of_the_place(tmp_path):
    (tmp_path / "0001").write_text("")
    with pytest.raises(StoreError) as error:
        replace_checkpoint(tmp_path / "0001" / "last.pt", {})
    assert isinstance(unfinished(error.value), StoreFailed)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO, errno.ENOTDIR, errno.ESTALE])
def test_an_error_of_the_users_own_files_is_not_one_of_the_place(number):
    own = OSError(number, os.strerror(number), "/home/me/data.txt")
    assert unfinished(own) is None
    assert isinstance(unfinished(own, "runs/digits"), StoreFailed)


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_folder_for_temporary_files_without_room_is_named(disk, monkeypatch, name):
    folder, _ = disk
    check_scratch()
    monkeypatch.setenv(name, str(folder))
    with pytest.raises(
        SweepError, match=f"{folder}: must have 16 MiB free for temporary files, but has [01]; make room"
    ):
        check_scratch()
    monkeypatch.setenv(name, str(folder / "none"))
    with pytest.raises(SweepError, match="must be a folder for temporary files, but: No such file"):
        check_scratch()
