"""Compression of a model that was trained elsewhere: it becomes the only trial of a new run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator.errors import SweepError
from orchestrator.journal import SessionJournal
from orchestrator.layout import CHECKPOINTS, JOURNAL
from orchestrator.lock import RunLock
from orchestrator.new_run import NewRun, sweep_text
from orchestrator.record import Record
from orchestrator.run_folder import Run
from orchestrator.runner import check, compress_run
from orchestrator.signals import Halt
from orchestrator.stage import StageConfig
from orchestrator.sweep import Sweep, make_sweep
from trainables import (
    Dataset,
    EpochMetrics,
    ModelConfig,
    ModelError,
    TrainConfig,
    build_model,
    check_model,
    evaluate,
    load_data,
    save_checkpoint,
)
from trainables.data import as_floats
from trainables.storage import join
from trainables.worker import CHECKPOINT, TIMED, VERSION, report_of

TRIAL = "0001"
_COMPARED = 64
"""Validation examples on which the model given and the one built again are compared."""
_TOLERANCE = 1e-3
"""Largest difference of their outputs, as a fraction of the largest output."""


def compress(
    model: nn.Module,
    train: TrainConfig,
    stage: StageConfig,
    *,
    name: str,
    storage: str = "runs",
    quiet: bool = False,
) -> Run:
    """Make small models of a trained model, on the cluster, in a new run.

    Workers and later readers of the run build the network again, by `train.model`: a shipped name, or
    "module:Callable" of the user's own, called with (input_shape, outputs, **arguments). Without `train.model` it is
    the class of `model`, if that can be imported and called so.

    Args:
        model: what `train.model` builds, trained; with or without the normalisation that halving puts before a network.
            It takes images from 0 to 1, or the features of a table as they are. It is not changed.
        train: the data, and the training of students except for the settings of the stage.
        name, storage: of the run, as in a sweep.

    Raises:
        SweepError: `train.model` does not build such a model; or the stage asks for what cannot be.
        DataError, StorageError, StoreError, Interrupted, Unfinished: as for `run`.
    """
    data = load_data(train.data)
    train = _named(model, train)
    sweep = _sweep(train, data, stage, name, storage)
    check(sweep, sweep.folder)
    model = _rebuilt(model, train, data)
    epoch = _epoch(model, data)
    state = {"version": VERSION, "config": train.model_dump(), "history": [epoch]}
    with NewRun(sweep, replace=False) as new, RunLock(sweep.folder) as lock:
        new.begin()
        journal = SessionJournal(join(sweep.folder, JOURNAL), lock.check)
        try:
            journal.begin()
            record = Record(sweep.metric, sweep.sign, journal)
            _begin_trial(record, sweep, train)
            place = join(sweep.folder, CHECKPOINTS, TRIAL, CHECKPOINT)
            save_checkpoint(place, {**state, "trainer": {"best": model.state_dict()}})
            _end_trial(record, epoch)
        except Halt as halt:
            raise halt.reason from None
        finally:
            journal.close()
    return compress_run(sweep.folder, quiet=quiet)


def _sweep(train: TrainConfig, data: Dataset, stage: StageConfig, name: str, storage: str) -> Sweep:
    """A sweep of this training alone."""
    values: dict[str, Any] = {
        "name": name,
        "storage": storage,
        "seed": train.seed,
        "space": {"parameters": {"seed": train.seed}},
        "search": {"name": "grid"},
        "asha": None,
        "metric": "val_accuracy" if data.task == "classification" else "val_r2",
        "train": train.model_dump(exclude={"seed"}),
        "compress": stage.model_dump(),
    }
    return make_sweep(values)


def _named(model: nn.Module, train: TrainConfig) -> TrainConfig:
    """The training settings, with the class of the model in place of a `train.model` that was left out."""
    if "model" in train.model_fields_set:
        return train
    own = ModelConfig(name=f"{type(model).__module__}:{type(model).__qualname__}")
    try:
        check_model(own)
    except ModelError:
        return train
    return train.model_copy(update={"model": own})


def _rebuilt(model: nn.Module, train: TrainConfig, data: Dataset) -> nn.Module:
    """What `train.model` builds, with the parameters of `model` and the same outputs. Raises SweepError."""
    try:
        built = build_model(train.model, data)
    except ModelError as error:
        raise SweepError(f"train.{error}") from None
    state = _state_like(built, model.state_dict())
    _check_shapes(state, built.state_dict(), train.model.name)
    built.load_state_dict(state)
    _check_outputs(built, model, data, train.model.name)
    return built


def _state_like(built: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a model by the names of `built`; a bare network gets layers around it that change nothing."""
    network = {f"network.{name}": value for name, value in state.items()}
    own = built.state_dict()
    if set(network) != {name for name in own if name.startswith("network.")}:
        return state
    neutral = {"mean": torch.zeros_like, "std": torch.ones_like}
    around = {name: neutral[name.rpartition(".")[2]](value) for name, value in own.items() if name not in network}
    return {**around, **network}


def _check_shapes(got: dict[str, Tensor], wanted: dict[str, Tensor], name: str) -> None:
    rule = f"must have the parameters that train.model, {name}, builds"
    way = 'name what builds yours: ModelConfig(name="my_module:build"), called with (input_shape, outputs, **arguments)'
    for key in sorted({*got, *wanted}):
        theirs, ours = (tuple(one[key].shape) if key in one else "none" for one in (wanted, got))
        if theirs != ours:
            raise SweepError(f"model: {rule}: {key} of shape {theirs}, but got {ours}; {way}")


def _check_outputs(built: nn.Module, model: nn.Module, data: Dataset, name: str) -> None:
    """Compare the two on some validation examples: equal parameters may still be used otherwise."""
    examples = as_floats(data.validation.inputs[:_COMPARED])
    wanted, got = (_outputs(one, examples) for one in (model, built))
    worst = float((wanted - got).abs().max() / wanted.abs().max().clamp_min(1e-12))
    if not worst <= _TOLERANCE:
        rule = f"must compute what train.model, {name}, computes with its parameters"
        raise SweepError(f"model: {rule}, but outputs for validation examples differ by {worst:.3g} of the largest one")


def _outputs(model: nn.Module, examples: Tensor) -> Tensor:
    training, device = model.training, next((one.device for one in model.parameters()), examples.device)
    model.eval()
    try:
        with torch.no_grad():
            outputs: Tensor = model(examples.to(device))
    except Exception as error:  # whatever a user's forward may raise
        rule = f"must take inputs of shape {tuple(examples.shape)}, but got {type(error).__name__}: {error}"
        raise SweepError(f"model: {rule}") from error
    finally:
        model.train(training)
    return outputs.cpu()


def _epoch(model: nn.Module, data: Dataset) -> dict[str, Any]:
    """The metrics of the model, as the only epoch of its trial."""
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


def _begin_trial(record: Record, sweep: Sweep, train: TrainConfig) -> None:
    """First, since a checkpoint of a trial that the journal does not know tells of a damaged journal."""
    record.begin_session(1, sweep=sweep_text(sweep).decode())
    record.start(record.propose({"seed": train.seed}).id)


def _end_trial(record: Record, epoch: dict[str, Any]) -> None:
    told = {"timing": dict.fromkeys(TIMED, 0.0), "node": "", "finished": True}
    record.report(TRIAL, {**report_of(epoch), **told})
    record.end(TRIAL, "completed")
