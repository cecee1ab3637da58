"""Mutation testing of the modules that guard a run and what is delivered: `make mutants`.

Each mutant is a copy of the tree with one small fault; it is killed when a test that runs the faulty line fails. The
parent process imports the libraries once and forks a child for each mutant, so a mutant costs its tests alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import covered
from mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]

MODULES = (
    *("orchestrator/record.py", "orchestrator/lock.py", "orchestrator/journal.py", "orchestrator/journal_lines.py"),
    *("orchestrator/retention.py", "orchestrator/scheduling.py", "orchestrator/limits.py"),
    *("orchestrator/cluster.py", "orchestrator/ray_settings.py"),
    *("trainables/storage.py", "trainables/checkpoint.py"),
    *("trainables/compress/deliver.py", "trainables/compress/verify.py", "trainables/compress/prune.py"),
    *("trainables/compress/graph.py", "trainables/compress/importance.py", "trainables/compress/losses.py"),
)

LIBRARIES = (
    *("torch", "numpy", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.datasets", "skopt", "torch_pruning"),
    *(
        "onnx",
        "onnxruntime",
        "safetensors.torch",
        "pydantic",
        "ray.tune",
        "rich.console",
        "hypothesis",
        "pytest",
        "_pytest.assertion",
    ),
)

WANTED = 0.9
"""The share of mutants that the tests must kill."""

Fate = Literal["killed", "alive", "untested"]


@dataclass(frozen=True)
class Case:
    """A mutant of a module, with the tests to run against it."""

    module: str
    mutant: Mutant
    tests: Sequence[str]
    most_seconds: float


@dataclass(frozen=True)
class Result:
    module: str
    line: int
    change: str
    fate: Fate


def main() -> int:
    options = _options()
    started = time.perf_counter()
    with ExitStack() as stack:
        places = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-"))) for _ in range(options.jobs)
        ]
        copies = [_copied(place / "halving") for place in places]
        _import_libraries()
        known = _covered(copies[0], options.tests)
        cases = [case for module in options.module for case in _cases(module, known, options)]
        results = list(_judged(cases, copies))
    _print(results, time.perf_counter() - started)
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(result) for result in results], indent=2))
    return int(_share(results) < WANTED)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--module", nargs="+", default=MODULES, help="files to mutate, from the root of the tree")
    parser.add_argument("--most", type=int, default=20, help="mutants of a module, drawn by --seed; 0 takes all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30, help="of tests for a mutant, the quickest first")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="what pytest is given to find what covers what")
    parser.add_argument("--json", help="write the result of each mutant there")
    return parser.parse_args()


def _copied(place: Path) -> Path:
    """A copy of the files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\n"):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    return place


def _import_libraries() -> None:
    """The slow imports, for all children; none of the project's own, which are to be mutated. Ray is not started, since
    a fork would lose its threads."""
    for name in LIBRARIES:
        import_module(name)
    import_module("torch").set_num_threads(1)


def _covered(tree: Path, tests: Sequence[str]) -> covered.Covered:
    print("running the tests once under coverage ...", file=sys.stderr)
    child = _forked(tree, lambda: covered.run_covered(tests), quiet=False)
    os.waitpid(child, 0)
    return covered.read_covered(tree)


def _cases(module: str, known: covered.Covered, options: argparse.Namespace) -> list[Case]:
    found = list(mutants((ROOT / module).read_text()))
    if options.most and len(found) > options.most:
        chosen = random.Random(f"{options.seed} {module}").sample(range(len(found)), options.most)
        found = [found[number] for number in sorted(chosen)]
    cases = []
    for mutant in found:
        tests = known.of(module, mutant.line, options.seconds)
        cases.append(Case(module, mutant, tests, 30 + 5 * sum(known.seconds[test] for test in tests)))
    return cases


def _judged(cases: Sequence[Case], trees: Sequence[Path]) -> Iterator[Result]:
    """Run the cases, one at a time in each tree."""
    waiting, running, free = list(reversed(cases)), dict[int, tuple[Case, Path, float]](), list(trees)
    done = 0
    while waiting or running:
        while waiting and free:
            case = waiting.pop()
            if not case.tests:
                yield _result(case, "untested")
                continue
            tree = free.pop()
            running[_start(case, tree)] = case, tree, time.monotonic() + case.most_seconds
        for child, fate in _ended(running):
            case, tree, _ = running.pop(child)
            shutil.copy(ROOT / case.module, tree / case.module)
            free.append(tree)
            done += 1
            print(f"\r{done} of {len(cases)} {case.module}:{case.mutant.line} {fate}\x1b[K", end="", file=sys.stderr)
            yield _result(case, fate)
        time.sleep(0.05)
    print(file=sys.stderr)


def _result(case: Case, fate: Fate) -> Result:
    return Result(case.module, case.mutant.line, case.mutant.change, fate)


def _start(case: Case, tree: Path) -> int:
    (tree / case.module).write_text(case.mutant.source)
    return _forked(tree, lambda: _tested(case.tests))


def _tested(tests: Sequence[str]) -> int:
    import pytest

    return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--timeout=0", *tests]))


def _ended(running: dict[int, tuple[Case, Path, float]]) -> list[tuple[int, Fate]]:
    """Children that have ended, or that are ended as their time is over: a mutant that hangs is killed."""
    found: list[tuple[int, Fate]] = []
    for child, (_, _, deadline) in running.items():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            found.append((child, "alive" if status == 0 else "killed"))
        elif time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found.append((child, "killed"))
    return found


def _forked(tree: Path, work: Callable[[], int], *, quiet: bool = True) -> int:
    """Fork a child that does `work` in the tree, in a process group of its own, and exits with its code."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(tree)
        os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True
        sys.path[:] = [
            str(tree),
            *(place for place in sys.path if place not in (str(ROOT), str(Path(__file__).parent))),
        ]
        if quiet:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nothing, stream)
        code = work()
    finally:
        os._exit(code)


def _share(results: Sequence[Result]) -> float:
    return sum(result.fate == "killed" for result in results) / max(1, len(results))


def _print(results: Sequence[Result], seconds: float) -> None:
    print(f"{'module':<40} {'mutants':>8} {'killed':>8} {'alive':>8} {'untested':>8}")
    for module in dict.fromkeys(result.module for result in results):
        fates = Counter(result.fate for result in results if result.module == module)
        print(f"{module:<40} {fates.total():>8} {fates['killed']:>8} {fates['alive']:>8} {fates['untested']:>8}")
    for result in results:
        if result.fate != "killed":
            print(f"{result.fate}: {result.module}:{result.line}: {result.change}")
    print(f"{_share(results):.1%} of {len(results)} mutants killed in {seconds:.0f} s, {WANTED:.0%} wanted")


if __name__ == "__main__":
    sys.exit(main())
