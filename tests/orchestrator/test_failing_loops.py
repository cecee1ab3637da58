"""Loops of the user's own that fail in many ways, on a real Ray: what is told of them, and what is kept."""

from __future__ import annotations

import re
import sys

import pytest

from orchestrator import load_sweep, open_run, resume, run

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

LOOP = """
import ctypes
import os
import threading

import odd_helper


class Two(Exception):
    def __init__(self, first, second):
        super().__init__("Operation failed")
        self.lock = threading.Lock()


def train(config, trial):
    print("kind", config["kind"])
    with open("data.txt") as file:
        trial.report(loss=odd_helper.number(file.read()))
    os.write(2, b"to the errors\\n")
    trial.report(loss=2.0)
    fail(config["kind"])


def fail(kind):
    if kind == "two":
        raise Two(1, 2)
    if kind == "surrogate":
        raise ValueError("no header in \\udce9t.csv\\nat all \\x00")
    if kind == "exit":
        os._exit(7)
    if kind == "signal":
        ctypes.string_at(0)
"""
PLACE = r"\(odd_loop\.py:\d+ in train, odd_loop\.py:\d+ in fail\)"
ERRORS = {
    "fine": "",
    "two": rf"Two: Operation failed {PLACE}",
    "surrogate": rf"ValueError: no header in \\udce9t\.csv at all \\x00 {PLACE}",
    "exit": r"the trial's process ended with exit code 7; see logs/0004\.log",
    "signal": r"the trial's process ended by signal SEGV \(odd_loop\.py:\d+ in fail\); see logs/0005\.log",
}
PRINTED = "kind {}\nto the errors\n"


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A sweep's file in a folder below the current one, with its modules; beside it files with the names of others."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "odd_loop.py").write_text(LOOP.lstrip())
    (tmp_path / "odd_helper.py").write_text("def number(text):\n    return float(text)\n")
    (tmp_path / "data.txt").write_text("1.5\n")
    for name in ("random", "queue", "torch", "ray", "cloudpickle", "trainables"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the user was imported')\n")
    monkeypatch.chdir(tmp_path)

    def make(*kinds, storage="runs"):
        (tmp_path / "below" / "odd.yaml").write_text(
            f"name: odd\nstorage: '{storage}'\nspace: {{parameters: {{kind: {{choice: [{', '.join(kinds)}]}}}}}}\n"
            "search: {name: grid}\nasha: null\nmetric: loss\nmode: min\nconcurrent: 2\n"
            "train: {loop: 'odd_loop:train', epochs: 4}\nfaults: {retries: 0, give_up: 100}\n"
        )
        return load_sweep("below/odd.yaml")

    yield make
    for name in ("odd_loop", "odd_helper"):
        sys.modules.pop(name, None)


def test_failures_are_told_with_their_place_and_lose_no_report(odd, tmp_path, monkeypatch):
    result = run(odd(*ERRORS), quiet=True)
    trials = result.trials().set_index("config.kind")
    assert list(trials["status"]) == ["completed", *["failed"] * 4]
    for kind, error in ERRORS.items():
        assert re.fullmatch(error, trials["error"][kind])
    assert list(result.epochs()["loss"]) == [1.5, 2.0] * 5
    for kind, name in zip(ERRORS, trials["trial"], strict=True):
        assert PRINTED.format(kind) in result.log(name)
    assert "Traceback" in result.log("2")
    assert "odd_loop.py" in result.log("5").partition("Fatal Python error")[2]
    assert {path.name for path in (tmp_path / "runs" / "odd" / "logs").iterdir()} == {
        f"{n:04}.log" for n in range(1, 6)
    }
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    space = {"parameters": {"kind": {"choice": [*ERRORS, "more"]}}}
    again = resume(
        result.folder if result.folder.is_absolute() else tmp_path / result.folder, {"space": space}, quiet=True
    )
    assert list(again.trials()["status"])[5:] == ["completed"]
    assert again.log("0006") == PRINTED.format("more")


def test_logs_of_a_run_in_a_store_are_there(odd, s3_folder):
    result = run(odd("fine", "exit", storage=s3_folder), quiet=True)
    assert list(result.epochs()["loss"]) == [1.5, 2.0] * 2
    assert open_run(result.folder).log("1") == PRINTED.format("fine")
    assert result.log("2").startswith(PRINTED.format("exit"))
    assert re.fullmatch(ERRORS["exit"].replace("0004", "0002"), result.trials()["error"][1])
