"""Which configurations to train and where: sweeps, runs and what they found.

Public names are loaded when they are first asked for: a trial's process needs few, the help none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator import ray_settings

if TYPE_CHECKING:
    from orchestrator.errors import SweepError
    from orchestrator.run_folder import Run, open_run
    from orchestrator.runner import resume, run
    from orchestrator.signals import Interrupted
    from orchestrator.sweep import AshaConfig, SearchConfig, Sweep, WorkerConfig, load_sweep

_HOMES = {
    "errors": ("SweepError",),
    "run_folder": ("Run", "open_run"),
    "runner": ("resume", "run"),
    "signals": ("Interrupted",),
    "sweep": ("AshaConfig", "SearchConfig", "Sweep", "WorkerConfig", "load_sweep"),
}

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
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"orchestrator.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
