"""Runs of the post-stage that outlive an interrupted benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from orchestrator import Run, StageConfig, compress, compress_run, open_run
from orchestrator.picking import LATENCY
from trainables.compress import Parent


def compressed(parent: Parent, stage: StageConfig, folder: Path) -> Run:
    """The post-stage with `parent` as a run in that folder: made, gone on with, or left as it is if it is complete.

    Raises SystemExit if the folder has a run of another stage.
    """
    if not (folder / "sweep.yaml").exists():
        return compress(parent.model, parent.train, stage, name=folder.name, storage=str(folder.parent))
    run = open_run(folder)
    if run.sweep.compress is None or _facts(run.sweep.compress) != _facts(stage):
        raise SystemExit(f"{folder}: must be of the same settings as before; give another --keep")
    return run if _complete(run.models()) else compress_run(folder)


def _facts(stage: StageConfig) -> str:
    return json.dumps(stage.model_dump(mode="json"), sort_keys=True)


def _complete(models: pd.DataFrame) -> bool:
    """All of a run's models are timed together, when no other is to be made."""
    made = models[models["path"].notna()]
    return LATENCY in made and len(made) > 0 and bool(made[LATENCY].notna().all())
