"""Which configurations to train and where: sweeps, runs and what they found.

`run` and `Interrupted` need Ray and are loaded when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator import ray_settings
from orchestrator.errors import SweepError
from orchestrator.run import Run, open_run
from orchestrator.sweep import AshaConfig, SearchConfig, Sweep, WorkerConfig, load_sweep

if TYPE_CHECKING:
    from orchestrator.runner import Interrupted, run

ray_settings.apply()

__all__ = [
    "AshaConfig",
    "Interrupted",
    "Run",
    "SearchConfig",
    "Sweep",
    "SweepError",
    "WorkerConfig",
    "load_sweep",
    "open_run",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in ("run", "Interrupted"):
        from orchestrator import runner

        return getattr(runner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
