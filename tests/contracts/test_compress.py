"""What every model that leaves compression promises, whichever way it was made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.compress.zoo import Apply
from trainables import DataConfig, SettingError, TrainConfig, Trainer, load_data
from trainables.compress import (
    CompressPlan,
    Parent,
    artefact_score,
    compress,
    cost,
    export_dense,
    load_weights,
    make_student,
    open_artefact,
    score,
    torch_outputs,
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


@pytest.fixture(params=["t1-dense", "t1-dense-int8", "t1-student-0001", "t1-student-0001-int8"])
def model(request: pytest.FixtureRequest, models: list[Any]) -> Any:
    return next(model for model in models if model.id == request.param)


def test_it_is_accepted_and_names_its_parent(model: Any) -> None:
    assert (model.status, model.reason, model.parent) == ("ok", "", "t1")


def test_it_is_one_row_of_a_table(model: Any) -> None:
    row = asdict(model)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    unknown = {"val_r2", "test_r2"}
    if model.id != "t1-student-0001":
        unknown |= {"control_val", "control_test"}
    if not model.student:
        unknown |= {"keep_macs"}
    assert {name for name, value in row.items() if value is None} == unknown


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
    assert (dense8.source, pruned8.source) == (dense.id, pruned.id) == ("t1-dense", "t1-student-0001")
    assert (dense8.macs, pruned8.macs) == (dense.macs, pruned.macs)
    assert dense.macs == cost(parent.model, DATA.input_shape).macs
    assert 0.4 * dense.macs < pruned.macs <= 0.5 * dense.macs
    assert pruned.parameters < dense.parameters
    assert pruned.bytes < dense.bytes
    assert dense8.bytes < dense.bytes


def test_a_student_stands_beside_the_same_one_without_a_teacher(models: list[Any], parent: Parent) -> None:
    control = make_student(parent, DATA, PLAN.students[0].control())
    assert models[2].control_val == score(torch_outputs(control, DATA.validation.inputs), DATA.validation.targets)
    assert models[2].control_test == score(torch_outputs(control, DATA.test.inputs), DATA.test.targets)


def test_a_control_has_no_control(parent: Parent, tmp_path: Path) -> None:
    plan = CompressPlan.model_validate({"keep_macs": [0.5], "epochs": 1, "loss": "cross_entropy", "int8": False})
    _, student = compress(parent.model, DATA, plan, tmp_path, parent.train)
    assert student.status == "ok"
    assert student.control_test is None


@pytest.mark.parametrize(
    ("plan", "kind", "loss"),
    [
        ({"keep_macs": None, "student": {"keep_macs": None, "sparsity": 0.7, "epochs": 3}}, "sparse", "kl"),
        ({"architecture": {"name": "mlp", "width": 16}, "epochs": 6, "lr": 0.1}, "network", "kl"),
    ],
)
def test_what_is_not_pruned_is_made_as_well(
    plan: dict[str, Any], kind: str, loss: str, parent: Parent, tmp_path: Path
) -> None:
    made: list[Any] = compress(parent.model, DATA, CompressPlan.model_validate(plan), tmp_path, parent.train, "t1")
    dense, _, student, quantised = made
    assert (student.kind, student.loss, quantised.kind) == (kind, loss, "int8")
    assert {row.status for row in made} == {"ok"}
    assert student.val_accuracy > 0.8
    weights = load_weights(tmp_path / student.id / "weights.safetensors")
    if kind == "sparse":
        assert student.sparsity == 0.7
        assert student.macs == dense.macs
        matrices = [value for value in weights.values() if value.ndim >= 2]
        zeros = sum(int((value == 0).sum()) for value in matrices) / sum(value.numel() for value in matrices)
        assert zeros == pytest.approx(0.7, abs=0.01)
        sizes = [(tmp_path / one.id / "weights.safetensors").stat().st_size for one in (student, dense)]
        assert sizes[0] < 0.7 * sizes[1]
    else:
        assert student.macs < dense.macs
        assert student.keep_macs is None


@pytest.mark.parametrize(
    ("plan", "reason"),
    [({"keep_macs": [0.001], "epochs": 1}, "least possible is"), ({"epochs": 1, "lr": 1e30}, "loss is not finite")],
)
def test_a_student_that_cannot_be_made_is_reported(
    plan: dict[str, Any], reason: str, parent: Parent, tmp_path: Path
) -> None:
    made: list[Any] = compress(parent.model, DATA, CompressPlan.model_validate(plan), tmp_path, parent.train, "t1")
    assert [row.status for row in made[:2]] == ["ok", "ok"]
    for row in made[2:]:
        assert row.status == "rejected"
        assert reason in row.reason
        assert row.path is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t1-dense"]
    json.dumps([asdict(row) for row in made], allow_nan=False)


def test_layers_that_cannot_be_pruned_exactly_are_named_in_the_table_and_on_the_card(tmp_path: Path) -> None:
    torch.manual_seed(0)
    swapped = Apply(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), swapped, nn.ReLU(), nn.Linear(32, 32), nn.Linear(32, 10))
    plan = CompressPlan.model_validate({"keep_macs": [0.8], "epochs": 1, "loss": "cross_entropy"})
    dense, _, student, quantised = compress(model, DATA, plan, tmp_path, TRAIN)
    assert dense.kept == ""
    assert student.kept == quantised.kept == "as wide as before: 1: channels cannot be followed: some lie outside 1"
    assert open_artefact(tmp_path / student.id).card["model"]["kept"] == student.kept


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
    with pytest.raises(SettingError):
        CompressPlan.model_validate(wrong)
