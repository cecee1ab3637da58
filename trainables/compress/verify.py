"""What an exported model is worth, measured on the artefact itself in ONNX Runtime with one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data import Split, as_floats

# Its Linux builds report each session to their maker, unless this is set when the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

BATCH = 256


@dataclass(frozen=True)
class Parity:
    """How an artefact's logits differ from the torch model's: the largest error beside the largest logit."""

    max_abs_error: float
    agreement: float
    """Fraction of images that get the same class."""
    scale: float
    """Largest absolute logit of the torch model."""

    def fault(self, tolerance: float = 1e-3, agreement: float = 0.999) -> str:
        """Why this is no faithful copy, or "" if it is one: errors relative to the logits, once those pass 1."""
        allowed = tolerance * max(1.0, self.scale)
        if not self.max_abs_error <= allowed:  # also when it is NaN
            return f"parity: logits differ by {self.max_abs_error:.2g}, more than {allowed:.2g}"
        if self.agreement < agreement:
            return f"parity: {self.agreement:.2%} of the predictions agree, fewer than {agreement:.2%}"
        return ""


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call of one artefact, with how many images a call."""

    path: str
    batch: int
    median_ms: float
    p10_ms: float
    p90_ms: float
    repeats: int


def parity(path: Path, model: nn.Module, images: Tensor) -> Parity:
    """Compare the ONNX model at `path` with `model` on `images` (N, C, H, W), floats or uint8."""
    model.eval()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        expected = torch.cat([model(as_floats(batch.to(device))).cpu().float() for batch in _batches(images)])
    actual = onnx_logits(path, images)
    same = (actual.argmax(1) == expected.argmax(1)).double().mean()
    return Parity(float((actual - expected).abs().max()), float(same), float(expected.abs().max()))


def onnx_logits(path: Path, images: Tensor) -> Tensor:
    """Logits (N, classes) of the ONNX model at `path` for `images` (N, C, H, W), floats or uint8."""
    session = _session(path)
    name = session.get_inputs()[0].name
    batches = (as_floats(batch.cpu()) for batch in _batches(images))
    return torch.cat([torch.from_numpy(session.run(None, {name: batch.numpy()})[0]) for batch in batches])


def onnx_accuracy(path: Path, split: Split) -> float:
    """Fraction of `split` that the ONNX model at `path` puts into the right class."""
    return float((onnx_logits(path, split.inputs).argmax(1) == split.targets.cpu()).double().mean())


def measure_latency(
    paths: Sequence[Path],
    input_shape: Sequence[int],
    batches: Sequence[int] = (1, 32),
    repeats: int = 200,
    warmup: int = 20,
) -> list[Latency]:
    """Time the ONNX models at `paths` side by side, one call of each in turn, on one thread.

    Taking turns spreads what else the machine does over all of them; their ratio is more to be trusted than
    their milliseconds. Run it when nothing else runs.
    """
    sessions = [_session(path) for path in paths]
    rows = []
    for batch in batches:
        images = np.random.default_rng(0).random((batch, *input_shape), dtype=np.float32)
        times = np.array([list(_turn(sessions, images)) for _ in range(warmup + repeats)])[warmup:] * 1e3
        for path, (p10, median, p90) in zip(paths, np.percentile(times, (10, 50, 90), axis=0).T, strict=True):
            rows.append(Latency(str(path), batch, float(median), float(p10), float(p90), repeats))
    return rows


def _turn(sessions: Sequence[ort.InferenceSession], images: np.ndarray) -> Iterator[float]:
    """Seconds of one call of each session."""
    for session in sessions:
        feed = {session.get_inputs()[0].name: images}
        start = time.perf_counter()
        session.run(None, feed)
        yield time.perf_counter() - start


def _batches(images: Tensor) -> list[Tensor]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
