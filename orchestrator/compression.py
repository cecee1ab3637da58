"""The post-stage on the cluster: every candidate of the best trials is a task, then all are timed in quiet."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray

from orchestrator.errors import unfinished
from orchestrator.record import Record, Trial
from orchestrator.remote_errors import cause, describe
from orchestrator.signals import Halt, StopRequest
from orchestrator.sweep import Sweep
from trainables import load_data
from trainables.compress import (
    DENSE,
    CompressPlan,
    Latency,
    Parent,
    compress_one,
    export_dense,
    measure_latency,
    model_id,
)
from trainables.storage import Place, absolute, join, local_copy, upload_tree
from trainables.worker import CHECKPOINT, load_best


def compress_best(sweep: Sweep, record: Record, folder: Place, request: StopRequest) -> None:
    """Compresses the best trials as the sweep's plan says; every model goes into the record when it is done.

    Models that the record has are not made again. A candidate that fails is recorded as such, and the others go on.

    Raises:
        Halt: the run has been asked to stop, or its storage fails.
    """
    plan, parents = sweep.compress, record.best(sweep.compress.best if sweep.compress else 0)
    if plan is None or not parents:
        return
    candidates = [
        (trial, keep)
        for trial in parents
        for keep in (DENSE, *plan.shares)
        if model_id(trial.id, keep) not in record.models
    ]
    task = ray.remote(num_cpus=sweep.workers.cpus, num_gpus=sweep.workers.gpus, max_retries=1)(make_candidate)
    running = {task.remote(trial.id, keep, plan, str(absolute(folder))): (trial, keep) for trial, keep in candidates}
    while running:
        request.check()
        for done in ray.wait(list(running), num_returns=1, timeout=0.5)[0]:
            # Last that by whose id one sees that the candidate is done.
            for row in reversed(_outcome(done, *running.pop(done))):
                record.add_model(row)
    data = load_data(sweep.train_config(parents[0].config).data)
    _time_models(sweep, record, folder, data.input_shape)


def make_candidate(trial: str, keep: float, plan: CompressPlan, folder: str) -> list[dict[str, Any]]:
    """Makes one model of a trial in `models/<id>` of the run's folder, and its int8 model there if the plan wants it.

    Their rows, the model's own first, with `path` inside the run's folder.
    """
    model, train = load_best(join(folder, "checkpoints", trial, CHECKPOINT))
    data, parent = load_data(train.data), Parent(model, train, trial)
    with TemporaryDirectory() as scratch:
        here = Path(scratch)
        if keep == DENSE:
            made = export_dense(parent, data, here, int8=plan.int8)
        else:
            made = compress_one(parent, data, keep, plan, here)
        upload_tree(here, join(folder, "models"))
        return [{**asdict(row), "path": _inside(row.path, here)} for row in made]


def _inside(path: str | None, folder: Path) -> str | None:
    return str(Path("models", Path(path).relative_to(folder))) if path else None


def _outcome(done: Any, trial: Trial, keep: float) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = _result(done)
    except ray.exceptions.RayError as error:
        kind, name = "dense" if keep == DENSE else "pruned", model_id(trial.id, keep)
        return [{"id": name, "parent": trial.id, "kind": kind, "status": "failed", "reason": describe(error)}]
    return rows


def _result(done: Any) -> Any:
    """What a task returns. Raises Halt if the run's storage failed in it, RayError for anything else."""
    try:
        return ray.get(done)
    except ray.exceptions.RayError as error:
        if reason := unfinished(cause(error)):
            raise Halt(reason) from None
        raise


def latencies(places: list[str], input_shape: tuple[int, ...]) -> list[Latency]:
    """`measure_latency` for models anywhere; each row's `path` is its model's place."""
    with ExitStack() as stack:
        paths = {str(stack.enter_context(local_copy(place))): place for place in places}
        rows = measure_latency([Path(path) for path in paths], input_shape)
    return [replace(row, path=paths[row.path]) for row in rows]


def _time_models(sweep: Sweep, record: Record, folder: Place, input_shape: tuple[int, ...]) -> None:
    """Measures latency with nothing else of the run at work, parents and children in turn."""
    rows = [row for row in record.models.values() if row.get("path")]
    if all("latency_1_median_ms" in row for row in rows):
        return
    task = ray.remote(num_cpus=sweep.workers.cpus)(latencies)
    models = {str(absolute(join(folder, row["path"]))): row["id"] for row in rows}
    figures: dict[str, dict[str, Any]] = {}
    for timed in _result(task.remote(list(models), input_shape)):
        columns = figures.setdefault(models[timed.path], {})
        for name in ("median", "p10", "p90"):
            columns[f"latency_{timed.batch}_{name}_ms"] = getattr(timed, f"{name}_ms")
    for model, columns in figures.items():
        record.add_model({"id": model, **columns})
