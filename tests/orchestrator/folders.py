"""Folders of runs without a process at work on them."""

from __future__ import annotations

from orchestrator import Sweep
from orchestrator.lock import RunLock
from orchestrator.new_run import NewRun


def make_folder(sweep: Sweep) -> None:
    """The run's folder with its sweep and nothing else. An earlier run in it is deleted."""
    with NewRun(sweep, replace=True) as new, RunLock(sweep.folder):
        new.begin()
