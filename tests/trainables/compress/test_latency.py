"""Latency is measured side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables import mlp
from trainables.compress import Timed, export_onnx, measure_calls, measure_latency

SHAPE = (1, 8, 8)


def test_latency_has_a_row_a_model_and_batch_with_its_spread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(mlp(SHAPE, 10, width=8, depth=1), SHAPE, path)
    rows = measure_latency([path, path], SHAPE, batches=(1, 4), repeats=9, warmup=1)
    assert [(row.path, row.batch, row.repeats) for row in rows] == [(str(path), b, 9) for b in (1, 1, 4, 4)]
    assert all(0 < row.p10_ms <= row.median_ms <= row.p90_ms for row in rows)


def test_models_take_turns_and_each_gets_inputs_of_its_shape() -> None:
    calls = []

    def noted(name: str, shape: tuple[int, ...]) -> Timed:
        def call(inputs: np.ndarray) -> np.ndarray:
            calls.append((name, inputs.shape, inputs.dtype))
            return inputs

        return Timed(name, call, shape)

    measure_calls([noted("a", (3,)), noted("b", SHAPE)], batches=(2,), repeats=2, warmup=1)
    assert calls == [("a", (2, 3), np.float32), ("b", (2, *SHAPE), np.float32)] * 3
