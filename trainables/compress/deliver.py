"""A finished model as files, each checked against the model it came from, and as rows of what they are worth."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from trainables.compress.artefact import INT8, ONNX, PT2
from trainables.compress.card import NAME, ArtefactError, interface, write_card
from trainables.compress.cost import cost
from trainables.compress.export import ExportError, export_onnx, export_pt2, save_weights, trace
from trainables.compress.quantize import QuantizeError, quantize
from trainables.compress.row import CompressedModel
from trainables.compress.sparse import save_sparse
from trainables.compress.verify import (
    FAITHFUL,
    QUANTISED,
    Bounds,
    Parity,
    artefact_outputs,
    artefact_score,
    check_alone,
    compare,
    parity,
    score,
    torch_outputs,
)
from trainables.data import Dataset

WEIGHTS = "weights.safetensors"
FILES = (ONNX, INT8, PT2, WEIGHTS, NAME)
_ALONE = 8
"""Test examples that the fresh process is given."""


@dataclass(frozen=True)
class Origin:
    """For the card: where a model is from, and how images were fitted to its sides, see `DataConfig`."""

    facts: Mapping[str, Any]
    fit: str = "crop"


def deliver(
    row: CompressedModel, model: nn.Module, data: Dataset, folder: Path, origin: Origin, *, int8: bool
) -> list[CompressedModel]:
    """Write the model's files into `folder`, check each, and fill in `row`; with `int8`, the quantised one's row too.

    A model that cannot be exported comes back as rejected, without a file; one that fails a check is rejected, too,
    but its files stay. The card is written last. Its seconds are added to those of `row`.
    """
    start = time.perf_counter()
    size = cost(model, data.input_shape)
    row = replace(row, macs=size.macs, parameters=size.parameters)
    _clear(folder)
    try:
        _export(model, data, folder, sparse=row.sparsity > 0)
    except ExportError as error:
        _clear(folder)
        return [_timed(_rejected(row, str(error)), start)]
    truth = _Truth.of(model, data)
    copy = truth.parity(folder / PT2)
    row = truth.measured(row, folder / ONNX, FAITHFUL)
    if fault := copy.fault():
        row = _rejected(row, f"{PT2}: {fault}")
    rows, details = [_timed(row, start)], dict[str, Any]()
    if int8:
        start = time.perf_counter()
        quantised, details = _quantised(row, truth, folder)
        rows.append(_timed(quantised, start))
    rows = _alone(rows, data)
    details[PT2] = {key: _finite(value) for key, value in asdict(copy).items()}
    _write_card(folder, rows, {**interface(data, origin.fit), **origin.facts, "artefacts": details})
    return rows


@dataclass(frozen=True)
class _Truth:
    """The data, and the outputs of the torch model for its validation part."""

    data: Dataset
    outputs: Tensor

    @classmethod
    def of(cls, model: nn.Module, data: Dataset) -> _Truth:
        return cls(data, torch_outputs(model, data.validation.inputs))

    def parity(self, path: Path) -> Parity:
        """Of the artefact at `path`; one that does not even run agrees nowhere."""
        try:
            return parity(path, self.outputs, self.data.validation.inputs)
        except ArtefactError:
            return Parity(math.inf, 0.0, float(self.outputs.abs().max()))

    def measured(self, row: CompressedModel, path: Path, bounds: Bounds) -> CompressedModel:
        """The row with what the ONNX file at `path` is worth, rejected if that is not within `bounds`."""
        row = replace(row, path=str(path), bytes=path.stat().st_size)
        try:
            outputs = artefact_outputs(path, self.data.validation.inputs)
            test = artefact_score(path, self.data.test)
        except ArtefactError as error:
            return _rejected(row, str(error).replace(str(path), path.name))
        check, validation = compare(outputs, self.outputs), score(outputs, self.data.validation.targets)
        kind = "accuracy" if self.data.task == "classification" else "r2"
        scores: dict[str, Any] = {f"val_{kind}": _finite(validation), f"test_{kind}": _finite(test)}
        row = replace(
            row,
            parity_max_abs_error=_finite(check.max_abs_error),
            parity_agreement=_finite(check.agreement),
            **scores,
        )
        fault = check.fault(bounds) or self._drop(validation, bounds)
        return _rejected(row, fault) if fault else row

    def _drop(self, validation: float, bounds: Bounds) -> str:
        """What is wrong with such a score; an example more or less is nothing."""
        targets = self.data.validation.targets
        whole, allowed = score(self.outputs, targets), max(bounds.drop, 1.5 / len(targets))
        if validation >= whole - allowed:
            return ""
        return f"drop: scores {validation:.2%} on validation, more than {allowed:.2%} below its model's {whole:.2%}"


def _clear(folder: Path) -> None:
    """Of what an earlier delivery may have left there, which the card must not vouch for."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def _export(model: nn.Module, data: Dataset, folder: Path, *, sparse: bool) -> None:
    program = trace(model, data.input_shape)
    export_onnx(program, data.input_shape, folder / ONNX)
    export_pt2(program, data.input_shape, folder / PT2)
    if sparse:
        save_sparse(model.state_dict(), folder / WEIGHTS)
    else:
        save_weights(model, folder / WEIGHTS)


def _quantised(row: CompressedModel, truth: _Truth, folder: Path) -> tuple[CompressedModel, dict[str, Any]]:
    """The int8 model's row, and for the card how it was chosen."""
    blank = CompressedModel(
        id=f"{row.id}-int8",
        parent=row.parent,
        kind="int8",
        status="ok",
        source=row.id,
        student=row.student,
        keep_macs=row.keep_macs,
        sparsity=row.sparsity,
        loss=row.loss,
        kept=row.kept,
        macs=row.macs,
        parameters=row.parameters,
    )
    if row.status != "ok":
        return _rejected(blank, f"{row.id}, which was to be quantised, is rejected"), {}
    try:
        variant, tried = quantize(folder / ONNX, folder / INT8, truth.data.train.inputs, truth.data.validation)
    except QuantizeError as error:
        return _rejected(blank, str(error)), {}
    details = {"variant": variant, "tried": [asdict(one) for one in tried]}
    if unfit := next(one.unfit for one in tried if one.variant == variant):
        said = f"int8 leaves in floats what cannot be quantised: {', '.join(unfit)}"
        blank = replace(blank, kept="; ".join(filter(None, (row.kept, said))))
    return truth.measured(blank, folder / INT8, QUANTISED), {INT8: details}


def _alone(rows: list[CompressedModel], data: Dataset) -> list[CompressedModel]:
    """The rows, of which those are rejected whose files do not run where only numpy and ONNX Runtime are."""
    paths = [Path(row.path) for row in rows if row.path and row.status == "ok"]
    faults = dict(zip(map(str, paths), check_alone(paths, data.test.inputs[:_ALONE]) if paths else [], strict=True))
    return [_rejected(row, fault) if (fault := faults.get(row.path or "")) else row for row in rows]


def _write_card(folder: Path, rows: list[CompressedModel], facts: dict[str, Any]) -> None:
    """With the rows, less their paths: the folder may move."""
    row, *others = ({key: value for key, value in asdict(row).items() if key != "path"} for row in rows)
    card = {"model": row, **({"int8": others[0]} if others else {}), **facts}
    write_card(folder / NAME, card, [folder / name for name in FILES if (folder / name).exists()])


def _rejected(row: CompressedModel, reason: str) -> CompressedModel:
    return replace(row, status="rejected", reason="; ".join(filter(None, (row.reason, reason))))


def _timed(row: CompressedModel, start: float) -> CompressedModel:
    return replace(row, seconds=row.seconds + time.perf_counter() - start)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
