"""The log of a trial, written by processes of their own that end in every way."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import signal
import subprocess
import sys
import threading

import pytest

from orchestrator import trial_log
from orchestrator.attempt_log import AttemptLog
from orchestrator.trial_log import FIRST, LAST, RunLogs, TrialLog, last_lines, log_place, read_log

CUT_OFF = (
    "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) advice"
)


def in_a_process(work, run, trial="0001", attempt=1, owns=True):
    """Forks a process that works with its output in a trial's log; how it ended, as `os.waitstatus_to_exitcode`."""
    process = os.fork()
    if not process:
        status = 99
        try:
            sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
            log = AttemptLog()
            log.begin(trial, {"run": str(run), "attempt": attempt, "node": platform.node()}, owns=owns)
            work(log)
            log.end()
            status = 0
        finally:
            log._notes._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def prints(*lines):
    return lambda log: print(*lines, sep="\n")


def test_all_that_a_process_prints_is_in_the_log(tmp_path):
    def work(log):
        print("to the output")
        print("to the errors", file=sys.stderr)
        os.write(1, b"from native code\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115

    assert in_a_process(work, tmp_path) == 0
    assert read_log(tmp_path, "0001") == "to the output\nto the errors\nfrom native code\nfrom a child\n"


def test_each_trial_has_its_own_log_and_its_streams_again(tmp_path):
    def work(log):
        print("first")
        sys.stdout = None
        log.begin("0002", {"run": str(tmp_path), "attempt": 1, "node": platform.node()})
        print("second \udce9\x00")
        log.begin("0003", {"run": str(tmp_path), "attempt": 1, "node": platform.node()})

    assert in_a_process(work, tmp_path) == 0
    assert read_log(tmp_path, "0001") == "first\n"
    assert read_log(tmp_path, "0002") == "second \\udce9\\x00\n"
    assert not (tmp_path / "logs" / "0003.log").exists()


def test_attempts_follow_each_other_and_other_processes_write_between(tmp_path):
    def fails(log):
        print("one")
        assert in_a_process(prints("a rank"), tmp_path, owns=False) == 0
        log.failed("KeyError: 'x' (a.py:1 in train)", "Traceback\nKeyError: 'x'\n")

    in_a_process(fails, tmp_path)
    assert last_lines(tmp_path, "0001", 5) == ["one", "a rank"]
    in_a_process(prints("two"), tmp_path, attempt=2)
    first, second = read_log(tmp_path, "0001").split("=== attempt 2, ")
    assert (
        first == "one\na rank\n=== the attempt failed: KeyError: 'x' (a.py:1 in train) ===\nTraceback\nKeyError: 'x'\n"
    )
    assert second.endswith(f"UTC on {platform.node()} ===\ntwo\n")


def by(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("dies", "expected"),
    [
        (lambda: os._exit(7), "with exit code 7"),
        (lambda: os._exit(0), "with exit code 0"),
        (by(signal.SIGSEGV), "by signal SEGV"),
        (lambda: ctypes.string_at(0), "by signal SEGV"),
        (os.abort, "by signal ABRT"),
        (by(signal.SIGFPE), "by signal FPE"),
        (by(signal.SIGBUS), "by signal BUS"),
        (by(signal.SIGILL), "by signal ILL"),
        (by(signal.SIGUSR1), "by signal USR1"),
        (by(signal.SIGUSR2), "by signal USR2"),
        (by(signal.SIGHUP), "by signal HUP"),
        (by(signal.SIGKILL), "by signal KILL, for want of memory or from outside, or within native code"),
    ],
)
def test_how_a_process_ended_is_known_from_its_log(tmp_path, dies, expected):
    def work(log):
        print("last words")
        dies()

    status = in_a_process(work, tmp_path)
    assert f"code {status}" in expected or f"SIG{expected.split()[2].rstrip(',')}" == signal.Signals(-status).name
    said = RunLogs(tmp_path).end("0001", f"The actor died. {CUT_OFF}")
    place = r"( \(tests/orchestrator/test_attempt_log\.py:\d+ in [\w<>]+\))?"
    assert re.fullmatch(f"the trial's process ended {expected}{place}; see logs/0001.log", said)
    assert read_log(tmp_path, "0001").endswith(f"=== the attempt failed: {said} ===\n")
    assert last_lines(tmp_path, "0001", 99)[0] == "last words"


def test_children_of_a_process_leave_no_notes(tmp_path):
    def work(log):
        child = os.fork()
        if not child:
            os._exit(5)
        os.waitpid(child, 0)
        os.kill(os.getpid(), signal.SIGKILL)

    in_a_process(work, tmp_path)
    assert "signal KILL" in RunLogs(tmp_path).end("0001", CUT_OFF)


def test_the_end_of_an_attempt_is_not_taken_for_that_of_the_next(tmp_path):
    in_a_process(lambda log: os._exit(7), tmp_path)
    in_a_process(lambda log: os.kill(os.getpid(), signal.SIGKILL), tmp_path, attempt=2)
    assert "signal KILL" in RunLogs(tmp_path).end("0001", CUT_OFF)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("Worker exits with an exit code 3.", "the trial's process ended with exit code 3"),
        (
            "Worker exits with an exit code 1. The process receives a SIGTERM.",
            "the trial's process ended by signal TERM",
        ),
        (
            "Task was killed due to the node running low on memory.",
            "the trial's process ended by Ray, as its node ran low",
        ),
        ("The actor died because its node has died.", "the trial's process ended with its node"),
        (
            CUT_OFF,
            "a process of the trial died: Worker unexpectedly exits with a connection error code 2. End of file.",
        ),
    ],
)
def test_without_a_log_the_cause_is_the_one_that_ray_knows(tmp_path, told, expected):
    assert RunLogs(tmp_path).end("0001", told).startswith(expected)
    assert not (tmp_path / "logs").exists()


def test_a_long_log_keeps_its_first_and_its_last_part(tmp_path):
    log = TrialLog(log_place(tmp_path, "0001"))
    for start in range(0, 90_000, 10_000):
        log.append("".join(f"line {number}\n" for number in range(start, start + 10_000)))
        log.bound()
    log.bound(0)
    text, written = read_log(tmp_path, "0001"), sum(len(f"line {number}\n") for number in range(90_000))
    assert len(text) <= FIRST + LAST + 100
    head, tail = text.split("\n=== ")
    gone, lines = tail.split(" bytes are left out here ===\n")
    assert head.splitlines() == [f"line {number}" for number in range(len(head.splitlines()))]
    assert lines.endswith("line 89998\nline 89999\n")
    assert int(gone) == written - len(head) - len(lines)


def test_a_long_line_is_cut_as_well(tmp_path):
    assert in_a_process(prints("x" * 1_000_000), tmp_path) == 0
    text = read_log(tmp_path, "0001")
    assert text.startswith("x" * FIRST + "\n=== ")
    assert text.endswith("x" * (LAST - 1) + "\n")
    assert len(text) <= FIRST + LAST + 100


def test_what_others_append_while_a_log_is_cut_stays_whole(tmp_path):
    def writes():
        descriptor = TrialLog(log_place(tmp_path, "0001")).open()
        for number in range(20_000):
            os.write(descriptor, b"%06d %s\n" % (number, b"y" * 40))

    threads = [threading.Thread(target=writes) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        TrialLog(log_place(tmp_path, "0001")).bound()
    lines = read_log(tmp_path, "0001").splitlines()
    assert {len(line) for line in lines if line and not line.startswith("=== ")} == {47}
    assert lines[-1].startswith("019999")


def test_reports_that_a_dead_process_could_not_tell_are_read_once(tmp_path):
    def work(log):
        log.unheard({"epoch": 1})
        log.heard()
        log.unheard({"epoch": 2, "metrics": {"loss": None}})
        log.unheard({"epoch": 3})
        os._exit(7)

    in_a_process(work, tmp_path)
    logs = RunLogs(tmp_path)
    assert logs.unheard("0001") == [{"epoch": 2, "metrics": {"loss": None}}, {"epoch": 3}]
    assert logs.unheard("0001") == []


def test_a_disk_that_takes_no_log_costs_nothing_else(tmp_path):
    (tmp_path / "logs").write_text("a file in the way")

    def work(log):
        print("lost")
        log.unheard({"epoch": 1})
        log.failed("error", "traceback")
        log.publish(last=True)

    assert in_a_process(work, tmp_path) == 0


def test_a_log_in_a_store_is_copied_there(s3_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(trial_log.tempfile, "tempdir", str(tmp_path))
    log = TrialLog(log_place(s3_folder, "0001"))
    log.begin(1, "now")
    log.publish()
    assert read_log(s3_folder, "0001") == ""
    log.append("one\n")
    log.publish()
    assert read_log(s3_folder, "0001") == "one\n"
    log.close()
    again = TrialLog(log_place(s3_folder, "0001"))
    again.begin(2, "later")
    again.append("two\n")
    again.close()
    assert read_log(s3_folder, "0001") == "one\n=== attempt 2, later ===\ntwo\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
