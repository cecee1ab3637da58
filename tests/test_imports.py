"""No import cycle between any two modules, through a package's `__init__` included.

`make check` has the other import rules; its own rule on cycles compares siblings and so misses those with a parent.
"""

from __future__ import annotations

import grimp
import pytest


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
