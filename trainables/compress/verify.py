"""What an exported model is worth, measured on the artefact itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from trainables.compress import standalone
from trainables.compress.artefact import load
from trainables.compress.card import ArtefactError
from trainables.data import Split, as_floats

BATCH = 256
PATIENCE_S = 600
"""For the fresh process, which may have to share its processor with trials."""


@dataclass(frozen=True)
class Bounds:
    """How far an artefact may be from its torch model.

    tolerance: of the largest error, relative to the outputs once those pass 1. agreement: the least, see `Parity`.
    drop: in accuracy or R², as a fraction.
    """

    tolerance: float
    agreement: float
    drop: float


FAITHFUL = Bounds(tolerance=1e-3, agreement=0.999, drop=1.0)
"""Of a copy in the same precision, whose score then follows."""
QUANTISED = Bounds(tolerance=1.0, agreement=0.95, drop=0.01)


@dataclass(frozen=True)
class Parity:
    """How an artefact's outputs differ from the torch model's: the largest error beside the largest output."""

    max_abs_error: float
    agreement: float
    """Fraction of examples that get the same class; of values, the fraction of their variance that is the same (R²)."""
    scale: float
    """Largest absolute output of the torch model."""

    def fault(self, bounds: Bounds = FAITHFUL) -> str:
        """Why this is no faithful copy, or "" if it is one."""
        allowed = bounds.tolerance * max(1.0, self.scale)
        if not self.max_abs_error <= allowed:  # also when it is NaN
            return f"parity: outputs differ by {self.max_abs_error:.2g}, more than {allowed:.2g}"
        if not self.agreement >= bounds.agreement:
            return f"parity: {self.agreement:.2%} of the predictions agree, fewer than {bounds.agreement:.2%}"
        return ""


def parity(path: Path, expected: Tensor, inputs: Tensor) -> Parity:
    """Compare what the artefact at `path` gives for `inputs`, floats or uint8, with `expected` (N, outputs).

    Raises ArtefactError if it cannot be run.
    """
    return compare(artefact_outputs(path, inputs), expected)


def compare(actual: Tensor, expected: Tensor) -> Parity:
    """Of outputs (N, outputs) for the same inputs."""
    error, scale = float((actual - expected).abs().max()), float(expected.abs().max())
    if expected.shape[1] == 1:
        return Parity(error, _r2(actual, expected, least=(1e-3 * scale) ** 2), scale)
    return Parity(error, score(actual, expected.argmax(1)), scale)


def score(outputs: Tensor, targets: Tensor) -> float:
    """Accuracy for labels (N,), as a fraction; R² for values (N, 1)."""
    targets = targets.cpu()
    if targets.is_floating_point():
        return _r2(outputs, targets)
    return float((outputs.argmax(1) == targets).double().mean())


def _r2(outputs: Tensor, targets: Tensor, least: float = 0.0) -> float:
    """1 - mean squared error / variance of the targets, which counts as `least` if it is smaller."""
    error = (outputs - targets).double().square().mean()
    variance = targets.double().var(correction=0).clamp_min(max(least, torch.finfo(torch.float32).tiny))
    return float(1 - error / variance)


def artefact_outputs(path: Path, inputs: Tensor) -> Tensor:
    """Outputs (N, outputs) of the artefact at `path` for `inputs`, floats or uint8. Raises ArtefactError."""
    call = load(path)
    try:
        return torch.cat([torch.from_numpy(call(as_floats(batch.cpu()).numpy())) for batch in _batches(inputs)])
    except Exception as error:  # a runtime's own errors have no common base
        raise ArtefactError(f"{path} cannot be run: {str(error).splitlines()[0]}") from error


def torch_outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs (N, outputs) of `model` in evaluation mode for `inputs`, floats or uint8, on the CPU."""
    model.eval()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        return torch.cat([model(as_floats(batch.to(device))).cpu().float() for batch in _batches(inputs)])


def artefact_score(path: Path, split: Split) -> float:
    """Accuracy or R² of the artefact at `path` on `split`. Raises ArtefactError."""
    return score(artefact_outputs(path, split.inputs), split.targets)


def check_alone(paths: Sequence[Path], inputs: Tensor) -> list[str]:
    """What is wrong with each .onnx file where only numpy and ONNX Runtime are installed; "" where nothing is.

    A fresh Python process loads it, without any other module, and its outputs for `inputs` must be those given here.
    """
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "inputs.npy", as_floats(inputs.cpu()).numpy())
        (folder / "models.txt").write_text("\n".join(str(path.resolve()) for path in paths), encoding="utf-8")
        (folder / "path.txt").write_text("\n".join(_homes()), encoding="utf-8")
        said = _run_alone(folder)
        return [_difference(folder / f"{number}.npy", path, inputs, said) for number, path in enumerate(paths)]


def _homes() -> list[str]:
    """Where the allowed packages are: an isolated Python looks neither in a user's own folder nor in PYTHONPATH."""
    found = [find_spec(name) for name in standalone.ALLOWED]
    return [str(Path(spec.origin).parents[1]) for spec in found if spec and spec.origin]


def _run_alone(folder: Path) -> str:
    """The last that the process said, if it could not even begin."""
    command = [sys.executable, "-I", str(standalone.__file__), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, cwd=folder)
    except subprocess.TimeoutExpired:
        return f"no answer within {PATIENCE_S} s"
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _difference(answer: Path, path: Path, inputs: Tensor, said: str) -> str:
    error = answer.with_suffix(".txt")
    if error.exists():
        said = error.read_text(encoding="utf-8").strip().splitlines()[0].replace(str(path), path.name)
    if not answer.exists():
        return f"does not run in a fresh process: {said}"
    fault = compare(torch.from_numpy(np.load(answer)), artefact_outputs(path, inputs)).fault()
    return f"in a fresh process, {fault}" if fault else ""


def _batches(inputs: Tensor) -> list[Tensor]:
    return [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]
