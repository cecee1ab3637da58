"""The regrets of peers, kept in a file: they are slow and change only with the versions of the libraries.

A line of JSON for each search, appended when it has ended. The regret falls in few steps, so only these are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple


class Search(NamedTuple):
    """One search; `versions` are those of the libraries of task and contender."""

    task: str
    contender: str
    seed: int
    at_once: int
    evaluations: int
    versions: str


def versions(libraries: Iterable[str]) -> str:
    """What the results of these libraries depend on. Raises PackageNotFoundError for one that is not installed."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(libraries))


class Cache:
    """The searches in a file; of several lines for the same search the last counts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[Search, list[float]] = {}
        for line in file.read_text().splitlines() if file.exists() else []:
            row = json.loads(line)
            steps = row.pop("steps")
            search = Search(**row)
            self._known[search] = _expand(steps, search.evaluations)

    def get(self, search: Search) -> list[float] | None:
        """The regret after each evaluation, or None where the search is not known."""
        return self._known.get(search)

    def put(self, search: Search, regrets: list[float]) -> None:
        """Append to the file."""
        row = {**search._asdict(), "steps": _steps(regrets)}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
        self._known[search] = regrets


def _steps(regrets: list[float]) -> list[tuple[int, float]]:
    """The evaluations, counted from 0, at which the regret changes, with the new one."""
    return [(at, new) for at, (old, new) in enumerate(zip([None, *regrets], regrets, strict=False)) if old != new]


def _expand(steps: list[tuple[int, float]], evaluations: int) -> list[float]:
    ends = [at for at, _ in steps[1:]] + [evaluations]
    return [regret for (at, regret), end in zip(steps, ends, strict=True) for _ in range(end - at)]
