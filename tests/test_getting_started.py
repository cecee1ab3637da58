"""docs/getting-started.md, block by block in a new folder, as somebody who has installed the wheel."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "getting-started.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
PATIENCE_S = 300


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody with the wheel and the command, and no checkout."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    ZipFile(wheel).extractall(tmp_path / "packages")
    (tmp_path / "bin").mkdir()
    for name, arguments in {"python": "", "halving": "-c 'from orchestrator.cli import main; main()' "}.items():
        command = tmp_path / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments}"$@"\n')
        command.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    return {**kept, "PATH": path, "PYTHONPATH": str(tmp_path / "packages"), "NO_COLOR": "1"}


def run_line(line: str, folder: Path, environment: dict[str, str]) -> str:
    """What a line of a shell prints, all of it; it must end as the page says."""
    process = subprocess.Popen(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    interrupted = "# press Ctrl-C" in line
    try:
        if interrupted:
            wait_for_an_epoch(folder, process)
            os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == (130 if interrupted else 0), f"{line}\n{printed}"
    assert "Traceback" not in printed
    assert "\x1b" not in printed
    return printed


def wait_for_an_epoch(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not any(b'"event":"epoch"' in part.read_bytes() for part in folder.glob("runs/*/journal/*")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def holds(printed: str, wanted: str) -> bool:
    """Whether the wanted lines are there in their order; `...` stands for anything in a line."""
    lines = [".*".join(re.escape(part) for part in line.split("...")) for line in wanted.strip().splitlines()]
    return re.search("[^\n]*\n(?:.*\n)*?".join(rf"{line}" for line in lines), printed) is not None


@pytest.mark.ray
@pytest.mark.timeout(3600)  # six starts of Ray: a minute on a quiet machine
def test_every_step_of_the_page_works_in_its_order(tmp_path: Path, installed: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    printed = ""
    for language, text in BLOCKS:
        if language == "sh":
            printed = "".join(run_line(line, folder, installed) for line in text.splitlines())
        elif language == "text":
            assert holds(printed, text), f"{text}\nmust be in what was printed, but that is\n{printed}"
        else:
            name = text.splitlines()[0].removeprefix("# ")
            (folder / name).write_text(text)
    assert {path.name for path in folder.glob("runs/*")} == {"shapes", "flats", "own"}
