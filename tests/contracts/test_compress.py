"""What every model that leaves compression promises, whichever way it was made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from trainables import DataConfig, TrainConfig, Trainer, load_data
from trainables.compress import (
    CompressPlan,
    Parent,
    artefact_score,
    compress,
    compress_one,
    cost,
    export_dense,
    open_artefact,
)

DATA = load_data(DataConfig())
TRAIN = TrainConfig.of({"model": {"name": "mlp", "width": 32}, "epochs": 4, "augment": {"shift": 0.1}})
PLAN = CompressPlan(keep_macs=(0.5,), epochs=2)


class Drifting(nn.Module):
    """Computes something else while it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x.flatten(1))
        return -logits if torch.compiler.is_exporting() else logits


class Unexportable(Drifting):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum().item() >= 0 else x.flatten(1)


@pytest.fixture(scope="module")
def parent() -> Parent:
    trainer = Trainer(TRAIN, DATA)
    list(trainer.epochs())
    return Parent(trainer.model, TRAIN, "t1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def models(parent: Parent, folder: Path) -> list[Any]:
    return compress(parent.model, DATA, PLAN, folder, parent.train, parent.trial)


@pytest.fixture(params=["t1-dense", "t1-dense-int8", "t1-pruned-0.5", "t1-pruned-0.5-int8"])
def model(request: pytest.FixtureRequest, models: list[Any]) -> Any:
    return next(model for model in models if model.id == request.param)


def test_it_is_accepted_and_names_its_parent(model: Any) -> None:
    assert (model.status, model.reason, model.parent) == ("ok", "", "t1")


def test_it_is_one_row_of_a_table(model: Any) -> None:
    row = asdict(model)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert {name for name, value in row.items() if value is None} == {"val_r2", "test_r2"}


def test_it_has_exactly_its_files(model: Any, folder: Path) -> None:
    name = "model.int8.onnx" if model.kind == "int8" else "model.onnx"
    assert Path(model.path) == folder / (model.source or model.id) / name
    names = sorted(path.name for path in Path(model.path).parent.iterdir())
    assert names == ["card.json", "model.int8.onnx", "model.onnx", "model.pt2", "weights.safetensors"]


def test_its_figures_are_those_of_the_artefact(model: Any) -> None:
    path = Path(model.path)
    assert model.bytes == path.stat().st_size
    assert model.val_accuracy == artefact_score(path, DATA.validation)
    assert model.test_accuracy == artefact_score(path, DATA.test) > 0.85
    if model.kind == "int8":
        assert 0.95 <= model.parity_agreement <= 1
    else:
        assert model.parity_agreement == 1
        assert model.parity_max_abs_error < 1e-4


def test_it_opens_with_its_card(model: Any) -> None:
    artefact = open_artefact(Path(model.path))
    images = DATA.test.inputs[:3].numpy()
    assert artefact.call(images).shape == (3, 10)
    assert artefact.input_shape == DATA.input_shape


def test_its_card_tells_what_a_user_needs(model: Any) -> None:
    path = Path(model.path)
    card = json.loads((path.parent / "card.json").read_text())
    row = card["int8" if model.kind == "int8" else "model"]
    assert row == {key: value for key, value in asdict(model).items() if key != "path"}
    assert card["input"]["shape"] == ["batch", 1, 8, 8]
    assert (card["input"]["kind"], card["input"]["range"]) == ("images", [0, 1])
    assert (card["input"]["image"]["mode"], card["input"]["image"]["fit"]) == ("L", "crop")
    assert card["output"] == {"name": "outputs", "task": "classification", "classes": list(DATA.classes)}
    assert card["normalisation"]["mean"] == DATA.mean.tolist()
    assert card["artefacts"]["model.int8.onnx"]["variant"] in [
        tried["variant"] for tried in card["artefacts"]["model.int8.onnx"]["tried"]
    ]
    assert TrainConfig.model_validate(card["train"]) == TRAIN
    assert card["lineage"]["trial"] == "t1"
    for name, entry in card["files"].items():
        assert entry["sha256"] == hashlib.sha256((path.parent / name).read_bytes()).hexdigest()


def test_a_pruned_model_is_as_small_as_asked(models: list[Any], parent: Parent) -> None:
    dense, dense8, pruned, pruned8 = models
    assert (dense8.source, pruned8.source) == (dense.id, pruned.id) == ("t1-dense", "t1-pruned-0.5")
    assert (dense8.macs, pruned8.macs) == (dense.macs, pruned.macs)
    assert dense.macs == cost(parent.model, DATA.input_shape).macs
    assert 0.4 * dense.macs < pruned.macs <= 0.5 * dense.macs
    assert pruned.parameters < dense.parameters
    assert pruned.bytes < dense.bytes
    assert dense8.bytes < dense.bytes


def test_a_candidate_made_on_its_own_is_the_same(models: list[Any], parent: Parent, tmp_path: Path) -> None:
    alone: list[Any] = compress_one(parent, DATA, 0.5, PLAN.model_copy(update={"int8": False}), tmp_path)
    assert [model.id for model in alone] == [models[2].id]
    assert Path(alone[0].path).read_bytes() == Path(models[2].path).read_bytes()


@pytest.mark.parametrize(
    ("keep", "plan", "reason"),
    [(0.001, PLAN, "least possible is"), (0.5, CompressPlan(epochs=1, lr=1e30), "loss is not finite")],
)
def test_a_candidate_that_cannot_be_made_is_reported(
    keep: float, plan: CompressPlan, reason: str, parent: Parent, tmp_path: Path
) -> None:
    model: Any
    (model,) = compress_one(parent, DATA, keep, plan, tmp_path)
    assert model.status == "rejected"
    assert reason in model.reason
    assert model.path is None
    assert list(tmp_path.iterdir()) == []
    json.dumps(asdict(model), allow_nan=False)


@pytest.mark.parametrize("weight", [1.0, float("nan")])
def test_an_artefact_that_computes_something_else_is_rejected_but_kept(weight: float, tmp_path: Path) -> None:
    drifting = Drifting()
    nn.init.constant_(drifting.layer.weight, weight)
    model: Any
    model, quantised = export_dense(Parent(drifting, TRAIN), DATA, tmp_path)
    json.dumps([asdict(model), asdict(quantised)], allow_nan=False)
    assert (model.status, quantised.status) == ("rejected", "rejected")
    assert model.reason.startswith("parity")
    assert quantised.reason == "model-dense, which was to be quantised, is rejected"
    assert quantised.path is None
    assert model.test_accuracy is not None
    assert Path(model.path).exists()


def test_a_model_that_cannot_be_exported_is_reported(tmp_path: Path) -> None:
    model: Any
    (model,) = export_dense(Parent(Unexportable(), TRAIN), DATA, tmp_path)
    assert model.status == "rejected"
    assert "cannot be exported" in model.reason
    assert model.macs == 640
    assert model.path is None


@pytest.mark.parametrize("wrong", [{"keep_macs": (1.5,)}, {"temperature": 0}, {"epoch": 3}, {"importance": "random"}])
def test_a_plan_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CompressPlan.model_validate(wrong)
