"""A model that never saw a sweep, as a run of one trial that the post-stage can go on with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import nn

from orchestrator.errors import SweepError
from orchestrator.journal import SessionJournal
from orchestrator.lock import RunLock
from orchestrator.record import Record
from orchestrator.run_folder import Run, check_new, make_folder
from orchestrator.runner import check, compress_run
from orchestrator.stage import StageConfig
from orchestrator.sweep import Sweep, make_sweep
from trainables import Dataset, EpochMetrics, TrainConfig, build_model, evaluate, load_data, save_checkpoint
from trainables.storage import join
from trainables.worker import CHECKPOINT, TIMED, VERSION, report_of

TRIAL = "0001"


def compress(
    model: nn.Module,
    train: TrainConfig,
    stage: StageConfig,
    *,
    name: str,
    storage: str = "runs",
    quiet: bool = False,
) -> Run:
    """Goes through the post-stage with a trained model: students are searched for on the cluster, models made of them.

    Args:
        model: with the parameters of what `train.model` builds for `train.data`; it stays as it is.
        train: the data, and how students are trained apart from what the stage says.
        name, storage: of the run that is made for it, as in a sweep.

    Raises:
        SweepError: the model is not what `train.model` builds; or the stage asks for what cannot be.
        DataError, StorageError, StoreError, Interrupted, Unfinished: as for `run`.
    """
    data = load_data(train.data)
    sweep = _sweep(train, data, stage, name, storage)
    _check_fits(model, train, data)
    check(sweep, sweep.folder)
    check_new(sweep, replace=False)
    make_folder(sweep)
    with RunLock(sweep.folder) as lock:
        place = join(sweep.folder, "checkpoints", TRIAL, CHECKPOINT)
        epoch = _epoch(model, data)
        state = {"version": VERSION, "config": train.model_dump(mode="json"), "history": [epoch]}
        save_checkpoint(place, {**state, "trainer": {"best": model.state_dict()}})
        journal = SessionJournal(join(sweep.folder, "journal"), lock.check)
        try:
            _write_trial(Record(sweep.metric, sweep.sign, journal), {"seed": train.seed}, epoch)
        finally:
            journal.close()
    return compress_run(sweep.folder, quiet=quiet)


def _sweep(train: TrainConfig, data: Dataset, stage: StageConfig, name: str, storage: str) -> Sweep:
    """The sweep that would have tried just this training."""
    values: dict[str, Any] = {
        "name": name,
        "storage": storage,
        "seed": train.seed,
        "space": {"parameters": {"seed": train.seed}},
        "search": {"name": "grid"},
        "asha": None,
        "metric": "val_accuracy" if data.task == "classification" else "val_r2",
        "train": train.model_dump(mode="json", exclude={"seed"}),
        "compress": stage.model_dump(mode="json"),
    }
    return make_sweep(values)


def _check_fits(model: nn.Module, train: TrainConfig, data: Dataset) -> None:
    ours, theirs = (
        {key: tuple(value.shape) for key, value in one.state_dict().items()}
        for one in (model, build_model(train.model, data))
    )
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            rule = f"must have the parameters that train.model, {train.model.name}, builds"
            raise SweepError(f"model: {rule}: {key} of shape {theirs.get(key)}, but got {ours.get(key)}")


def _epoch(model: nn.Module, data: Dataset) -> dict[str, Any]:
    """The model as it is, as the one epoch of its trial."""
    unit = float(data.target_std)
    training, validation = (evaluate(model, part, unit=unit) for part in (data.train, data.validation))
    return asdict(
        EpochMetrics(
            epoch=1,
            train_loss=training.loss,
            val_loss=validation.loss,
            val_accuracy=validation.accuracy,
            val_r2=validation.r2,
            lr=0.0,
            seconds=0.0,
            images_per_second=0.0,
        )
    )


def _write_trial(record: Record, config: dict[str, Any], epoch: dict[str, Any]) -> None:
    record.begin_session(1)
    trial = record.propose(config).id
    record.start(trial)
    told = {"timing": dict.fromkeys(TIMED, 0.0), "node": "", "finished": True}
    record.report(trial, {**report_of(epoch), **told})
    record.end(trial, "completed")
