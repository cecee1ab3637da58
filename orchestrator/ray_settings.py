"""How Ray behaves in a process of ours. Ray reads this from the environment when it is imported, so it comes first."""

from __future__ import annotations

import os
import sys

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # It would print a page of advice for each process that dies; the record tells of trials, and why they failed.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed while executing a task",
    # Tune ends the whole search when Ray's monitor of memory kills a process. One that the kernel kills for want of
    # memory fails its attempt alone, and Ray has the kernel take workers first.
    "RAY_memory_monitor_refresh_ms": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A run stops as orchestrator.signals says.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "60",
    # The journal is the state; Tune's own snapshots are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
}


def apply() -> None:
    """Set what the user has not set."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("RAY_ADDRESS"):
        # A cluster of this machine alone then listens on the loopback interface alone, on Linux too.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if os.environ.get("NO_COLOR") or not (sys.stdout and sys.stdout.isatty()):
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")
