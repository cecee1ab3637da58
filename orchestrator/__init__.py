"""Which configurations to train and where: sweeps, runs and what they found.

Public names are loaded when they are first asked for: a trial's process needs few, the help none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator import ray_settings

if TYPE_CHECKING:
    from orchestrator.adoption import compress
    from orchestrator.columns import read_table
    from orchestrator.errors import SweepError
    from orchestrator.run_folder import Run, open_run
    from orchestrator.runner import compress_run, resume, run
    from orchestrator.signals import Interrupted
    from orchestrator.stage import StageConfig
    from orchestrator.sweep import AshaConfig, SearchConfig, Sweep, WorkerConfig, load_sweep
    from trainables.compress import open_model

_HOMES = {
    "orchestrator.adoption": ("compress",),
    "orchestrator.columns": ("read_table",),
    "orchestrator.errors": ("SweepError",),
    "orchestrator.run_folder": ("Run", "open_run"),
    "orchestrator.runner": ("compress_run", "resume", "run"),
    "orchestrator.signals": ("Interrupted",),
    "orchestrator.stage": ("StageConfig",),
    "orchestrator.sweep": ("AshaConfig", "SearchConfig", "Sweep", "WorkerConfig", "load_sweep"),
    "trainables.compress": ("open_model",),
}

ray_settings.apply()

__all__ = [
    "AshaConfig",
    "Interrupted",
    "Run",
    "SearchConfig",
    "StageConfig",
    "Sweep",
    "SweepError",
    "WorkerConfig",
    "compress",
    "compress_run",
    "load_sweep",
    "open_model",
    "open_run",
    "read_table",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, of which few are loaded yet."""
    return sorted(__all__)
