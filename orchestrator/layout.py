"""Names of the files and folders in the folder of a run."""

from __future__ import annotations

SWEEP = "sweep.yaml"
JOURNAL = "journal"
CHECKPOINTS = "checkpoints"
"""In it is a folder for each trial."""
TRIALS = "trials.parquet"
