"""What the files of every kind of model promise: each is faithful, runs alone, and says how to feed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables import Column, DataConfig, Dataset, ModelConfig, Split, build_model, load_data
from trainables.compress import CompressedModel, Origin, deliver, open_artefact, score, torch_outputs
from trainables.models.layers import Normalize

DIGITS = load_data(DataConfig())


class Own(nn.Module):
    """A user's: a grouped convolution beside a shortcut, a depthwise one, and a flatten to linear."""

    def __init__(self) -> None:
        super().__init__()
        self.normalize = Normalize(DIGITS.mean, DIGITS.std, DIGITS.input_shape)
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.grouped = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(16))
        self.depthwise = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16)
        self.head = nn.Linear(16 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(self.normalize(images)).relu()
        x = (x + self.grouped(x)).relu()
        logits: Tensor = self.head(self.depthwise(x).relu().flatten(1))
        return logits


def values() -> Dataset:
    """A table of three features, one of which says nothing."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(600, 3, generator=generator)
    targets = 50 + 10 * (features[:, :1] * 2 + features[:, 1:2].abs())
    parts = [Split(features[cut], targets[cut]) for cut in (slice(400), slice(400, 500), slice(500, 600))]
    columns = tuple(Column(name, "numeric", fill=0.0) for name in "abc")
    known, told = parts[0].inputs, parts[0].targets
    return Dataset(*parts, (), known.mean(0), known.std(0), columns, told.mean(0), told.std(0))


def trained(model: nn.Module, data: Dataset, steps: int = 60) -> nn.Module:
    """Good enough that rounding does not decide."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    regression = data.task == "regression"
    for step in range(steps):
        batch = data.train[(torch.arange(256) + 256 * step) % len(data.train)]
        outputs = model.train()(batch.inputs)
        if regression:
            unit = data.target_std
            loss = nn.functional.mse_loss(outputs / unit, batch.targets / unit)
        else:
            loss = nn.functional.cross_entropy(outputs, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def build(kind: str) -> tuple[nn.Module, Dataset]:
    """A shipped model for digits, the user's own, or a perceptron for the table."""
    torch.manual_seed(0)
    if kind == "values":
        data = values()
        return trained(build_model(ModelConfig(name="mlp"), data), data, steps=150), data
    model = Own() if kind == "own" else build_model(ModelConfig.model_validate({"name": kind, "width": 16}), DIGITS)
    return trained(model, DIGITS), DIGITS


class Delivered:
    """A model, its data, the folder of its files and their rows."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.model, self.data = build(kind)
        self.folder = folder
        row = CompressedModel(id="one", parent="t1", kind="dense", status="ok")
        self.rows: list[Any] = deliver(row, self.model, self.data, folder, Origin({"lineage": {}}), int8=True)


@pytest.fixture(scope="module", params=["mlp", "cnn", "resnet", "mobile", "own", "values"])
def delivered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    return Delivered(request.param, tmp_path_factory.mktemp(request.param) / "model")


def test_every_file_passes_its_checks(delivered: Delivered) -> None:
    whole, quantised = delivered.rows
    assert [(row.status, row.reason) for row in (whole, quantised)] == [("ok", ""), ("ok", "")]
    assert quantised.bytes < whole.bytes


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx", "model.pt2"])
def test_every_file_computes_what_the_model_does(delivered: Delivered, name: str) -> None:
    inputs = delivered.data.test.inputs
    call = open_artefact(delivered.folder / name).call
    expected = torch_outputs(delivered.model, inputs).numpy()
    allowed = 0.15 * float(abs(expected).max()) if "int8" in name else 1e-3
    for part in (slice(1), slice(33)):
        np.testing.assert_allclose(call(inputs[part].numpy()), expected[part], atol=allowed)


def test_the_scores_are_of_the_kind_of_the_task(delivered: Delivered) -> None:
    kind, other = ("r2", "accuracy") if delivered.data.task == "regression" else ("accuracy", "r2")
    for row in delivered.rows:
        assert getattr(row, f"test_{kind}") > 0.8
        assert (getattr(row, f"val_{other}"), getattr(row, f"test_{other}")) == (None, None)
    whole = score(torch_outputs(delivered.model, delivered.data.test.inputs), delivered.data.test.targets)
    assert getattr(delivered.rows[0], f"test_{kind}") == pytest.approx(whole, abs=1e-6)


def test_the_card_says_what_goes_in_and_what_was_tried(delivered: Delivered) -> None:
    card = json.loads((delivered.folder / "card.json").read_text())
    assert card["input"]["shape"] == ["batch", *delivered.data.input_shape]
    assert card["input"]["kind"] == ("features" if delivered.data.columns else "images")
    assert card["output"]["task"] == delivered.data.task
    tried = {one["variant"]: one for one in card["artefacts"]["model.int8.onnx"]["tried"]}
    chosen = tried[card["artefacts"]["model.int8.onnx"]["variant"]]
    assert chosen["distortion"] <= 2 * min(one["distortion"] for one in tried.values())
    assert all(one["error"] == "" and one["latency_ms"] > 0 for one in tried.values())
