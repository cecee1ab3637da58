"""What is installed: the three packages with their data, the command, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = {"orchestrator", "trainables", "search_spaces"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def test_holds_the_three_packages_only(wheel: ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("pattern", ["*.py", "*.yaml"])
def test_holds_every_module_and_space(wheel: ZipFile, pattern: str) -> None:
    wanted = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob(pattern)}

    assert wanted
    assert wanted <= set(wheel.namelist())


def test_installs_the_command(wheel: ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))

    assert "halving = orchestrator.cli:main" in wheel.read(entry_points).decode()


def test_every_dependency_has_a_tested_version_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    tested = {canonicalize_name(name): version for name, version in pinned.items()}
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]

    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(tested[canonicalize_name(requirement.name)]), str(requirement)


def test_torch_is_pinned_to_the_build_that_is_tested() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
