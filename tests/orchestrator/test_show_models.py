"""`halving predict` and `halving bench`, as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from trainables import DataConfig, load_data, mlp
from trainables.compress import CompressedModel, Origin, deliver

DATA = load_data(DataConfig())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has not been trained."""
    folder = tmp_path_factory.mktemp("models") / "one"
    row = CompressedModel(id="one", parent="t1", kind="dense", status="ok")
    deliver(row, mlp(DATA.input_shape, 10, width=8, depth=1), DATA, folder, Origin({}), int8=True)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    np.savez(tmp_path / "three.npz", x=DATA.test.inputs[:3])
    return tmp_path / "three.npz"


def halving(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_predict_prints_a_line_an_input(model: Path, images: Path) -> None:
    lines = [line.split("\t") for line in halving("predict", model, images).splitlines()]
    assert [line[0] for line in lines] == [f"{images}:{row}" for row in range(3)]
    assert all(label in DATA.classes and share.endswith("%") for _, label, share in lines)


def test_predict_in_json_has_all_probabilities(model: Path, images: Path) -> None:
    found = json.loads(halving("predict", model / "model.int8.onnx", images, "--json"))
    assert [one["source"] for one in found] == [f"{images}:{row}" for row in range(3)]
    assert all(one["probabilities"][one["label"]] == one["probability"] for one in found)
    assert all(list(one["probabilities"]) == list(DATA.classes) for one in found)


def test_bench_compares_with_the_first(model: Path) -> None:
    rows = json.loads(halving("bench", model, model / "model.pt2", "--repeats", 3, "--batch", 2, "--json"))
    assert [Path(row["path"]).name for row in rows] == ["model.onnx", "model.int8.onnx", "model.pt2"]
    assert [row["batch"] for row in rows] == [2, 2, 2]
    assert rows[0]["faster"] == 1
    assert rows[2]["faster"] == pytest.approx(rows[0]["median_ms"] / rows[2]["median_ms"])
    table = halving("bench", model, "--repeats", 2).splitlines()
    assert len(table) == 1 + 2 * 2
    assert table[0].split() == ["model", "batch", "median", "ms", "p10", "to", "p90", "faster"]


def test_what_is_wrong_is_one_message_and_exit_code_2(model: Path, images: Path, tmp_path: Path) -> None:
    assert "does not exist" in halving("predict", tmp_path / "none", images, code=2)
    assert "is missing" in halving("predict", model, tmp_path / "none.png", code=2)
    assert "does not exist" in halving("bench", model, tmp_path / "none", code=2)
