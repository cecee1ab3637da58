"""The tests that run each line, and how long each of them takes: one pass of the suite under coverage.py."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from coverage import CoverageData

PACKAGES = ("orchestrator", "trainables", "search_spaces")
_DATA, _SECONDS = ".coverage", ".durations.json"


@dataclass(frozen=True)
class Covered:
    """For each file and line the node ids of its tests, the quickest first; seconds by node id."""

    tests: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def of(self, file: str, line: int, most_seconds: float) -> list[str]:
        """The tests of a line, as many of the quickest as fit into `most_seconds` together, but one at least."""
        chosen, total = [], 0.0
        for test in self.tests.get(file, {}).get(line, []):
            total += self.seconds[test]
            if chosen and total > most_seconds:
                break
            chosen.append(test)
        return chosen


class _Durations:
    """A pytest plugin: seconds of each test that passed, its fixtures included."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.outcome != "passed":
            self.failed.add(report.nodeid)


def run_covered(arguments: Iterable[str]) -> int:
    """Run pytest in the present folder and leave what it covered and how long it took in files there."""
    plugin = _Durations()
    cover = [*(f"--cov={package}" for package in PACKAGES), "--cov-context=test", "--cov-report="]
    code = pytest.main(["-q", "-p", "no:cacheprovider", *cover, *arguments], plugins=[plugin])
    passed = {test: seconds for test, seconds in plugin.seconds.items() if test not in plugin.failed}
    Path(_SECONDS).write_text(json.dumps(passed))
    return int(code)


def read_covered(root: Path) -> Covered:
    """What `run_covered` left in that folder. Tests that did not pass are left out."""
    seconds: dict[str, float] = json.loads((root / _SECONDS).read_text())
    data = CoverageData(str(root / _DATA))
    data.read()
    tests: dict[str, dict[int, list[str]]] = {}
    for file in data.measured_files():
        name = str(Path(file).relative_to(root))
        tests[name] = {line: _known(contexts, seconds) for line, contexts in data.contexts_by_lineno(file).items()}
    return Covered(tests, seconds)


def _known(contexts: Iterable[str], seconds: dict[str, float]) -> list[str]:
    names = {context.rpartition("|")[0] for context in contexts}
    return sorted((name for name in names if name in seconds), key=lambda name: (seconds[name], name))
