"""Exported files are whole, silent, free of local paths and usable without the project."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from trainables import resnet
from trainables.compress import ExportError, export_onnx, export_pt2, save_weights
from trainables.compress.export import trace

SHAPE = (1, 8, 8)


class Unexportable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.sum().item() > 0 else x.flatten(1) + 1


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return resnet(SHAPE, 10, width=8)


def test_export_is_one_silent_file_for_any_batch_and_the_same_each_time(
    model: nn.Module, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    paths = [tmp_path / "a.onnx", tmp_path / "new" / "b.onnx"]
    for path in paths:
        export_onnx(model, SHAPE, path)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.onnx", "b.onnx"]
    content = paths[0].read_bytes()
    assert content == paths[1].read_bytes()
    assert str(Path.cwd()).encode() not in content
    assert b".py" not in content
    session = ort.InferenceSession(paths[0])
    for batch in (1, 5):
        assert session.run(["outputs"], {"inputs": np.zeros((batch, *SHAPE), np.float32)})[0].shape == (batch, 10)
    assert all(module.training for module in model.modules())


def test_a_failed_export_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with pytest.raises(ExportError, match="cannot be exported") as caught:
        export_onnx(Unexportable(), SHAPE, path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_weights_come_back_bit_for_bit(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(model, path)
    loaded = safetensors.torch.load_file(path)
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())


def test_tied_weights_are_saved_under_both_names(tmp_path: Path) -> None:
    layer = nn.Linear(3, 3)
    save_weights(nn.Sequential(layer, layer), tmp_path / "w.safetensors")
    assert set(safetensors.torch.load_file(tmp_path / "w.safetensors")) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_a_pt2_file_runs_without_the_model_for_any_batch_and_shows_no_path(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    export_pt2(model, SHAPE, path)
    loaded = torch.export.load(path).module()
    for batch in (1, 5):
        images = torch.rand(batch, *SHAPE)
        torch.testing.assert_close(loaded(images), model.eval()(images))
    with zipfile.ZipFile(path) as archive:
        assert not any(b".py" in archive.read(name) for name in archive.namelist())


def test_any_number_of_files_comes_from_one_trace(model: nn.Module, tmp_path: Path) -> None:
    program = trace(model, SHAPE)
    export_pt2(program, SHAPE, tmp_path / "model.pt2")
    export_onnx(program, SHAPE, tmp_path / "traced.onnx")
    export_onnx(model, SHAPE, tmp_path / "model.onnx")
    assert (tmp_path / "traced.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()
