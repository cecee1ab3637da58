"""The user's modules: found after everything else, and errors that say what was found in their place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.imports import add_folders, import_named, own_folders


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's, in which modules are looked up while the test lasts."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    add_folders([str(tmp_path)])
    return tmp_path


def test_folders_are_looked_up_once_and_last(folder: Path) -> None:
    before = list(sys.path)
    assert before[-1] == str(folder)
    add_folders([str(folder), os.path.join(folder, "..", folder.name)])
    assert sys.path == before
    assert str(folder) in own_folders()
    assert not any("site-packages" in one or one.endswith("python3.11") for one in own_folders())


@pytest.mark.parametrize(
    ("file", "name", "message"),
    [
        ("random.py", "random:train", r"{folder}/random\.py is hidden by .*/random\.py: rename it"),
        ("random.py", "random:choice", r"{folder}/random\.py is hidden by .*/random\.py: rename it"),
        ("test/loop.py", "test.loop:train", r"No module named 'test\.loop'; {folder}/test/loop\.py is hidden by"),
        ("sys.py", "sys:train", r"{folder}/sys\.py is hidden by Python itself: rename it"),
        ("torch/__init__.py", "torch:train", r"{folder}/torch/__init__\.py is hidden by .*torch/__init__\.py"),
        ("my_loop.py", "my_lop:train", r"No module named 'my_lop'; did you mean 'my_loop'\?; looked in .*{folder}"),
        ("one_module.py", "one_module.part:train", r"'one_module' is not a package; looked in .*{folder}"),
    ],
)
def test_a_module_that_is_not_the_users_is_refused(folder: Path, file: str, name: str, message: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("def train(config, trial): ...\n")
    with pytest.raises(ValueError, match=message.format(folder=folder)) as caught:
        import_named(name)
    assert str(caught.value).startswith(f"{name!r} cannot be imported")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import math\nmath.nowhere\n",
            r"AttributeError: .*has no attribute 'nowhere' \(broken_one\.py:2 in <module>\)$",
        ),
        ("raise SystemExit('no GPU')\n", r"SystemExit: no GPU \(broken_one\.py:1 in <module>\)$"),
        ("import nowhere_at_all\n", r"No module named 'nowhere_at_all' \(broken_one\.py:1 in <module>\)$"),
        ("def f(:\n", r"SyntaxError: invalid syntax \(broken_one\.py, line 1\)$"),
    ],
)
def test_what_a_users_module_raises_is_told_with_its_line(folder: Path, text: str, message: str) -> None:
    (folder / "broken_one.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        import_named("broken_one:train")


def test_a_users_package_is_found(folder: Path) -> None:
    (folder / "their_net").mkdir()
    (folder / "their_net" / "parts.py").write_text("def make(): ...\n")
    assert import_named("their_net.parts:make").__module__ == "their_net.parts"


def test_the_command_starts_beside_files_with_the_names_of_others(tmp_path: Path) -> None:
    for name in ("random", "queue", "logging", "torch", "typer", "numpy", "trainables"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the user was imported')\n")
    command = [sys.executable, "-m", "orchestrator", "show", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "nowhere: must be the folder of a run" in done.stderr
    assert done.returncode == 2
