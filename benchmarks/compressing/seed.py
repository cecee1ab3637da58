"""What came of one network: itself, our student of it with its control, and the peer's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import Figure
from benchmarks.compressing import peer
from benchmarks.compressing.clock import DENSE, DENSE_INT8, EAGER, INT8, OURS, PEER, Times, times
from benchmarks.compressing.ours import compressed
from orchestrator import Run, StageConfig
from trainables import load_data
from trainables.compress import Parent, StudentConfig

MOST_MACS, MOST_POINTS, MOST_BYTES = 0.25, 0.5, 0.1
TO_EAGER, TO_DENSE = 4, 2
"""How much faster our int8 model is wanted to be at batch 1."""
_PARTS = {"dense": DENSE, "dense-int8": DENSE_INT8, "student-0001": OURS, "student-0001-int8": INT8}
"""The models of a run by the end of their id."""


CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one seed. accuracies: of test images, by the names of clock.py, and the control's. The others are shares of
    the parent's."""

    accuracies: dict[str, float]
    macs: float
    peer_macs: float
    bytes: float
    times: Times

    @property
    def below(self) -> dict[str, float]:
        """Points below the parent."""
        return {name: 100 * (self.accuracies[DENSE] - value) for name, value in self.accuracies.items()}

    @property
    def gains(self) -> dict[str, float]:
        """By how many points ours is above those that learn from no teacher."""
        return {name: self.below[name] - self.below[OURS] for name in (CONTROL, PEER)}

    def faster(self, name: str, batch: int = 1) -> float:
        """How many times as fast our int8 model is as that one."""
        return self.times[name, batch] / self.times[INT8, batch]


def compare(parent: Parent, student: StudentConfig, folder: Path, repeats: int) -> Result:
    """Makes our student and the peer's with runs and files in the folder, where they are kept, and times all."""
    data, number = load_data(parent.train.data), parent.train.seed
    stage = StageConfig(best=1, keep_macs=None, student=student)
    run = compressed(parent, stage, folder / f"seed-{number}")
    other, file = peer.made(parent, data, student, folder)
    rows = _rows(run)
    whole, ours, int8 = rows[DENSE], rows[OURS], rows[INT8]
    files = {name: Path(str(run.folder), row["path"]) for name, row in rows.items()} | {PEER: file}
    return Result(
        accuracies={name: row["test_accuracy"] for name, row in rows.items()}
        | {CONTROL: ours["control_test"], PEER: other.test_accuracy},
        macs=ours["macs"] / whole["macs"],
        peer_macs=other.macs / whole["macs"],
        bytes=int8["bytes"] / whole["bytes"],
        times=times(parent.model, files, data.input_shape, repeats),
    )


def _rows(run: Run) -> dict[str, dict[str, Any]]:
    """The rows of a run's models by their names. Raises SystemExit if one was rejected: there is nothing to compare."""
    rows = {row["id"].partition("-")[2]: row for row in run.models().to_dict("records")}
    for part in _PARTS:
        if part not in rows or rows[part]["status"] != "ok":
            reason = rows[part]["reason"] if part in rows else "it was not made"
            raise SystemExit(f"{run.folder}: the model {part} must be there and accepted, but: {reason}")
    return {name: {str(key): value for key, value in rows[part].items()} for part, name in _PARTS.items()}


def figures(number: int, result: Result) -> Iterator[Figure]:
    """Of one seed."""
    of = f"seed {number}"
    yield Figure(name=f"{of}: ours, of the parent's operations", value=result.macs, at_most=MOST_MACS)
    yield Figure(name=f"{of}: torch-pruning, of the parent's operations", value=result.peer_macs)
    for name in (DENSE, OURS, INT8, CONTROL, PEER):
        yield Figure(
            name=f"{of}: test accuracy, {name.removesuffix(' in ONNX Runtime')}", value=result.accuracies[name]
        )
    for name in (OURS, INT8):
        label = name.removesuffix(" in ONNX Runtime")
        yield Figure(
            name=f"{of}: {label} below the parent", value=result.below[name], unit="points", at_most=MOST_POINTS
        )
    for name, gain in result.gains.items():
        yield Figure(name=f"{of}: ours above {name.removesuffix(' in ONNX Runtime')}", value=gain, unit="points")
    yield Figure(name=f"{of}: bytes of int8 to the parent's in float32", value=result.bytes, at_most=MOST_BYTES)
    for (name, batch), value in result.times.items():
        yield Figure(name=f"{of}: {name}, batch {batch}", value=value, unit="ms")
    for name, least in ((EAGER, TO_EAGER), (DENSE, TO_DENSE)):
        yield Figure(name=f"{of}: int8 faster than {name}, batch 1", value=result.faster(name), at_least=least)
        yield Figure(name=f"{of}: int8 faster than {name}, batch 32", value=result.faster(name, 32))
