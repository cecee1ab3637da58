"""What is said of an artefact is measured on the artefact."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainables import DataConfig, Split, as_floats, evaluate, load_data, mlp
from trainables.compress import Parity, export_onnx, measure_latency, onnx_accuracy, onnx_logits, parity

DATA = load_data(DataConfig())


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return mlp(DATA.input_shape, 10, width=16, depth=1).eval()


@pytest.fixture(scope="module")
def artefact(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "model.onnx"
    export_onnx(model, DATA.input_shape, path)
    return path


def test_an_artefact_agrees_with_its_model(model: nn.Module, artefact: Path) -> None:
    result = parity(artefact, model, DATA.train.inputs)
    assert result.max_abs_error < 1e-4
    assert result.agreement == 1
    assert result.fault() == ""


def test_an_artefact_of_other_weights_is_found_out(model: nn.Module, artefact: Path) -> None:
    other: Any = copy.deepcopy(model)
    with torch.no_grad():
        other[-1].bias[3] += 10
    result = parity(artefact, other, DATA.test.inputs)
    assert result.max_abs_error == pytest.approx(10, abs=1e-3)
    assert 0 < result.agreement < 1
    assert "logits differ by 10" in result.fault()


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (Parity(max_abs_error=5e-3, agreement=1.0, scale=20.0), ""),
        (Parity(max_abs_error=5e-3, agreement=1.0, scale=0.1), "logits differ"),
        (Parity(max_abs_error=float("nan"), agreement=1.0, scale=1.0), "logits differ"),
        (Parity(max_abs_error=1e-6, agreement=0.9, scale=1.0), "90.00% of the predictions agree"),
    ],
)
def test_faults_are_named(result: Parity, fault: str) -> None:
    assert fault in result.fault()
    assert bool(fault) == bool(result.fault())


def test_logits_do_not_depend_on_how_images_are_batched(artefact: Path) -> None:
    images = DATA.train.inputs[:300]
    each = torch.cat([onnx_logits(artefact, image[None]) for image in images[:3]])
    torch.testing.assert_close(onnx_logits(artefact, images)[:3], each)


def test_accuracy_is_that_of_the_model(model: nn.Module, artefact: Path) -> None:
    assert onnx_accuracy(artefact, DATA.test) == pytest.approx(evaluate(model, DATA.test)[1], abs=1e-9)
    right = Split(DATA.test.inputs, onnx_logits(artefact, DATA.test.inputs).argmax(1))
    assert onnx_accuracy(artefact, right) == 1


def test_bytes_are_given_to_models_as_the_floats_they_stand_for(model: nn.Module, artefact: Path) -> None:
    stored = Split((DATA.test.inputs * 255).byte(), DATA.test.targets)
    floats = Split(as_floats(stored.inputs), stored.targets)
    assert torch.equal(onnx_logits(artefact, stored.inputs), onnx_logits(artefact, floats.inputs))
    assert onnx_accuracy(artefact, stored) == onnx_accuracy(artefact, floats) > 1 / 20
    assert evaluate(model, stored) == evaluate(model, floats)
    assert parity(artefact, model, stored.inputs) == parity(artefact, model, floats.inputs)


def test_latency_has_a_row_a_model_and_batch_with_its_spread(artefact: Path) -> None:
    rows = measure_latency([artefact, artefact], DATA.input_shape, batches=(1, 4), repeats=9, warmup=1)
    assert [(row.path, row.batch, row.repeats) for row in rows] == [(str(artefact), b, 9) for b in (1, 1, 4, 4)]
    assert all(0 < row.p10_ms <= row.median_ms <= row.p90_ms for row in rows)
