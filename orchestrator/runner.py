"""From a sweep to a finished run: search, then compress, every step through the record."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ray import tune

from orchestrator.cluster import connected, slots
from orchestrator.compression import compress_best
from orchestrator.errors import SweepError
from orchestrator.journal import Journal
from orchestrator.progress import Progress
from orchestrator.ray_searcher import RaySearcher
from orchestrator.ray_trial import TorchTrial
from orchestrator.record import Record, Trial
from orchestrator.run_folder import Run, open_run
from orchestrator.scheduling import Asha
from orchestrator.searchers import make_searcher
from orchestrator.sweep import Sweep, WorkerConfig, dump_sweep
from orchestrator.tables import write_tables
from trainables import load_data


class Interrupted(KeyboardInterrupt):
    """The sweep was asked to stop. `folder` holds everything that it knew."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder


def run(sweep: Sweep, *, replace: bool = False, quiet: bool = False) -> Run:
    """Runs a sweep to its end and returns what it found.

    Args:
        replace: deletes an earlier run of the same name first.
        quiet: shows no progress.

    Raises:
        SweepError, DataError: the sweep cannot be run as asked; nothing has been started.
        Interrupted: Ctrl-C; the tables hold what was known.
    """
    load_data(sweep.train_config(sweep.space.from_unit([0.5] * len(sweep.space))).data)
    folder = _claim_folder(sweep, replace)
    with connected():
        concurrent = min(slots(sweep.workers), sweep.concurrent or math.inf)
        _make_folder(folder, sweep)
        record = Record(sweep.metric, sweep.sign, Journal(folder / "journal"))
        try:
            with Progress(sweep, record, quiet=quiet):
                _search(sweep, record, folder, int(concurrent))
                if sweep.compress:
                    compress_best(sweep, record, folder)
        finally:
            write_tables(record, folder)
    return open_run(folder)


def _search(sweep: Sweep, record: Record, folder: Path, concurrent: int) -> None:
    """Runs trials until the searcher has no more, all in the record.

    Raises:
        Interrupted: trials were left unfinished.
    """

    def job(trial: Trial) -> dict[str, Any]:
        return {
            "trial": trial.id,
            "train": sweep.train_config(trial.config).model_dump(mode="json"),
            "folder": str((folder / "checkpoints" / trial.id).resolve()),
            "workers": sweep.workers.model_dump(),
        }

    searcher = make_searcher(sweep.search.name, sweep.space, sweep.seed)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tune-") as scratch:
        # Not tune.Tuner: it pickles searcher and scheduler, which hold the journal.
        tune.run(
            TorchTrial,
            name="tune",
            search_alg=RaySearcher(searcher, record, sweep.search.trials, job),
            scheduler=Asha(sweep.asha, record, max_epochs=sweep.epochs, seed=sweep.seed),
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            resources_per_trial=_bundles(sweep.workers),
            callbacks=[_OnStart(record)],
            storage_path=str(Path(scratch).resolve()),
            raise_on_failed_trial=False,
            verbose=0,
        )
    if record.with_status("pending", "running"):
        raise Interrupted(folder)


class _OnStart(tune.Callback):
    """Tells the record that a trial has its process."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._record.start(trial.config["trial"])


def _bundles(workers: WorkerConfig) -> tune.PlacementGroupFactory:
    """One worker is the trial's own process; more have a bundle each beside the trial's empty one."""
    one = {"CPU": workers.cpus, "GPU": workers.gpus}
    return tune.PlacementGroupFactory([one] if workers.count == 1 else [{}] + [one] * workers.count)


def _claim_folder(sweep: Sweep, replace: bool) -> Path:
    """The run's folder, which must be new or be given up."""
    folder = sweep.folder
    if folder.exists() and any(folder.iterdir()):
        if not replace:
            raise SweepError(
                f"name: a run {sweep.name!r} must not exist yet in {sweep.storage}; choose another or give --replace"
            )
        if not (folder / "sweep.yaml").is_file():
            raise SweepError(f"name: {folder} is not the folder of a run, so it is not replaced")
        shutil.rmtree(folder)
    return folder


def _make_folder(folder: Path, sweep: Sweep) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sweep.yaml").write_text(dump_sweep(sweep), encoding="utf-8")
    except OSError as error:
        raise SweepError(f"storage: {folder} must be writable, but: {error.strerror}") from None
