"""No import cycle between any two modules, through a package's `__init__` included.

`make check` has the other import rules; its own rule on cycles compares siblings and so misses those with a parent.
"""

from __future__ import annotations

import subprocess
import sys

import grimp
import pytest

import orchestrator


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("orchestrator", "trainables", "search_spaces", cache_dir=None)


def test_no_import_leads_back(graph: grimp.ImportGraph) -> None:
    back = [
        f"{module} -> {imported}"
        for module in sorted(graph.modules)
        for imported in graph.find_modules_directly_imported_by(module)
        if graph.chain_exists(importer=imported, imported=module)
    ]

    assert len(graph.modules) > 20
    assert back == []


def test_a_worker_imports_no_searcher(graph: grimp.ImportGraph) -> None:
    """Each process of a trial would wait a second for scikit-optimize, which it never uses."""
    needed = graph.find_upstream_modules("orchestrator.ray_trial")

    assert "orchestrator.sweep" in needed
    assert [module for module in sorted(needed) if module.startswith("orchestrator.searchers")] == []


def test_only_bayesian_search_waits_for_scikit_optimize() -> None:
    """Modules are imported in a fresh process: what is imported late is an import to the graph all the same."""
    command = "import sys, orchestrator.runner; print(*{'skopt', 'sklearn', 'scipy'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_completion_offers_the_public_names_and_each_is_there() -> None:
    assert dir(orchestrator) == sorted(orchestrator.__all__)
    assert {"run", "Sweep", "open_run", "read_table"} <= set(dir(orchestrator))
    assert [name for name in dir(orchestrator) if not callable(getattr(orchestrator, name))] == []
