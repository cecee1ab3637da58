"""How long models take, side by side on one thread."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainables.compress.artefact import INT8, ONNX, Call, load, open_artefact
from trainables.errors import Stopped


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call of one artefact, with how many inputs a call."""

    path: str
    batch: int
    median_ms: float
    p10_ms: float
    p90_ms: float
    repeats: int


@dataclass(frozen=True)
class Timed:
    """What to time: a loaded model, its name, and the shape of one of its inputs."""

    name: str
    call: Call
    input_shape: tuple[int, ...]


def measure_latency(
    paths: Sequence[Path],
    input_shape: Sequence[int],
    batches: Sequence[int] = (1, 32),
    repeats: int = 200,
    warmup: int = 20,
) -> list[Latency]:
    """`measure_calls` of the .onnx and .pt2 files at `paths`. Raises ArtefactError."""
    return measure_calls([Timed(str(path), load(path), tuple(input_shape)) for path in paths], batches, repeats, warmup)


def time_artefacts(places: Sequence[Path], batches: Sequence[int] = (1, 32), repeats: int = 200) -> list[Latency]:
    """`measure_calls` of models with their cards; a folder stands for its two .onnx files. Raises ArtefactError."""
    files = [file for place in places for file in _files(place)]
    artefacts = [open_artefact(file) for file in files]
    models = [Timed(str(one.path), one.call, one.input_shape) for one in artefacts]
    return measure_calls(models, batches, repeats, warmup=min(20, repeats))


def _files(place: Path) -> list[Path]:
    found = [place / name for name in (ONNX, INT8) if (place / name).exists()]
    return found or [place]


def measure_calls(
    models: Sequence[Timed], batches: Sequence[int] = (1, 32), repeats: int = 200, warmup: int = 20
) -> list[Latency]:
    """Time models side by side, one call of each in turn, on one thread; the rows of a batch size follow each other.

    Taking turns spreads what else the machine does over all of them; their ratio is more to be trusted than
    their milliseconds. Run it when nothing else runs.

    Raises:
        Stopped: Ctrl-C; it holds the rows of the batch sizes that were finished.
    """
    rows: list[Latency] = []
    try:
        with _one_thread():
            for batch in batches:
                rows += _measure_batch(models, batch, repeats, warmup)
    except KeyboardInterrupt:
        raise Stopped(rows) from None
    return rows


def _measure_batch(models: Sequence[Timed], batch: int, repeats: int, warmup: int) -> list[Latency]:
    feeds = [np.random.default_rng(0).random((batch, *model.input_shape), np.float32) for model in models]
    times = np.array([list(_turn(models, feeds)) for _ in range(warmup + repeats)])[warmup:] * 1e3
    percentiles = np.percentile(times, (10, 50, 90), axis=0).T
    return [
        Latency(model.name, batch, float(median), float(p10), float(p90), repeats)
        for model, (p10, median, p90) in zip(models, percentiles, strict=True)
    ]


def _turn(models: Sequence[Timed], feeds: Sequence[np.ndarray]) -> Iterator[float]:
    """Seconds of one call of each model."""
    for model, feed in zip(models, feeds, strict=True):
        start = time.perf_counter()
        model.call(feed)
        yield time.perf_counter() - start


@contextmanager
def _one_thread() -> Iterator[None]:
    """Of torch; sessions of ONNX Runtime have theirs from the start."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
