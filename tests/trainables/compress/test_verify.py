"""What is said of an artefact is measured on the artefact."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainables import DataConfig, Split, as_floats, evaluate, load_data, mlp
from trainables.compress import (
    QUANTISED,
    ArtefactError,
    Parity,
    artefact_outputs,
    artefact_score,
    check_alone,
    compare,
    export_onnx,
    export_pt2,
    parity,
    score,
    standalone,
    torch_outputs,
)

DATA = load_data(DataConfig())


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return mlp(DATA.input_shape, 10, width=16, depth=1).eval()


@pytest.fixture(scope="module", params=[(export_onnx, "model.onnx"), (export_pt2, "model.pt2")], ids=["onnx", "pt2"])
def artefact(request: pytest.FixtureRequest, model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    export, name = request.param
    path: Path = tmp_path_factory.mktemp("verify") / name
    export(model, DATA.input_shape, path)
    return path


def test_an_artefact_agrees_with_its_model(model: nn.Module, artefact: Path) -> None:
    result = parity(artefact, torch_outputs(model, DATA.train.inputs), DATA.train.inputs)
    assert result.max_abs_error < 1e-4
    assert result.agreement == 1
    assert result.fault() == ""


def test_an_artefact_of_other_weights_is_found_out(model: nn.Module, artefact: Path) -> None:
    other: Any = copy.deepcopy(model)
    with torch.no_grad():
        other[-1].bias[3] += 10
    result = parity(artefact, torch_outputs(other, DATA.test.inputs), DATA.test.inputs)
    assert result.max_abs_error == pytest.approx(10, abs=1e-3)
    assert 0 < result.agreement < 1
    assert "outputs differ by 10" in result.fault()


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (Parity(max_abs_error=5e-3, agreement=1.0, scale=20.0), ""),
        (Parity(max_abs_error=5e-3, agreement=1.0, scale=0.1), "outputs differ"),
        (Parity(max_abs_error=float("nan"), agreement=1.0, scale=1.0), "outputs differ"),
        (Parity(max_abs_error=1e-6, agreement=0.9, scale=1.0), "90.00% of the predictions agree"),
    ],
)
def test_faults_are_named(result: Parity, fault: str) -> None:
    assert fault in result.fault()
    assert bool(fault) == bool(result.fault())


def test_outputs_do_not_depend_on_how_images_are_batched(artefact: Path) -> None:
    images = DATA.train.inputs[:300]
    each = torch.cat([artefact_outputs(artefact, image[None]) for image in images[:3]])
    torch.testing.assert_close(artefact_outputs(artefact, images)[:3], each)


def test_accuracy_is_that_of_the_model(model: nn.Module, artefact: Path) -> None:
    assert artefact_score(artefact, DATA.test) == pytest.approx(evaluate(model, DATA.test).accuracy, abs=1e-9)
    right = Split(DATA.test.inputs, artefact_outputs(artefact, DATA.test.inputs).argmax(1))
    assert artefact_score(artefact, right) == 1


def test_bytes_are_given_to_models_as_the_floats_they_stand_for(model: nn.Module, artefact: Path) -> None:
    stored = Split((DATA.test.inputs * 255).byte(), DATA.test.targets)
    floats = Split(as_floats(stored.inputs), stored.targets)
    assert torch.equal(artefact_outputs(artefact, stored.inputs), artefact_outputs(artefact, floats.inputs))
    assert artefact_score(artefact, stored) == artefact_score(artefact, floats) > 1 / 20
    assert evaluate(model, stored) == evaluate(model, floats)
    assert torch.equal(torch_outputs(model, stored.inputs), torch_outputs(model, floats.inputs))


def test_values_are_scored_by_the_share_of_variance_that_is_explained() -> None:
    targets = torch.tensor([[1.0], [2.0], [3.0]])
    assert score(targets, targets) == 1
    assert score(torch.full((3, 1), 2.0), targets) == 0
    assert compare(targets + 1, targets).agreement == pytest.approx(-0.5)
    assert compare(torch.full((3, 1), 7.001), torch.full((3, 1), 7.0)).agreement > 0.9


def test_what_is_quantised_may_differ_but_not_decide_otherwise() -> None:
    rough = Parity(max_abs_error=3.0, agreement=0.96, scale=10.0)
    assert "outputs differ" in rough.fault()
    assert rough.fault(QUANTISED) == ""
    assert "94.00% of the predictions agree" in Parity(3.0, 0.94, 10.0).fault(QUANTISED)


def test_damage_that_still_loads_is_found_by_parity(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(model, DATA.input_shape, path)
    weights: Any = model[-1].weight  # type: ignore[index]
    content, raw = path.read_bytes(), weights.detach().numpy().tobytes()
    assert raw in content
    path.write_bytes(content.replace(raw, raw[::-1]))
    result = parity(path, torch_outputs(model, DATA.test.inputs), DATA.test.inputs)
    assert "outputs differ" in result.fault()


def test_damage_that_does_not_load_is_an_error_of_its_own(artefact: Path, tmp_path: Path) -> None:
    broken = tmp_path / artefact.name
    broken.write_bytes(artefact.read_bytes()[: 2**10])
    with pytest.raises(ArtefactError, match=f"{broken} cannot be loaded"):
        artefact_outputs(broken, DATA.test.inputs)


def test_inputs_that_do_not_fit_are_an_error_of_its_own(artefact: Path) -> None:
    with pytest.raises(ArtefactError, match="cannot be run"):
        artefact_outputs(artefact, torch.zeros(2, 3, 5, 7))


def test_a_fresh_process_needs_numpy_and_onnx_runtime_only(model: nn.Module, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.onnx", tmp_path / "bad.onnx"
    export_onnx(model, DATA.input_shape, good)
    bad.write_bytes(good.read_bytes()[:500])
    first, second = check_alone([bad, good], DATA.test.inputs[:4])
    assert first.startswith("does not run in a fresh process: ")
    assert second == ""


def test_nothing_else_can_be_imported_there() -> None:
    command = "import sys; from runpy import run_path; sys.meta_path.insert(0, run_path(sys.argv[1])['Blocker']())"
    for module, possible in (("onnxruntime", True), ("torch", False), ("onnx", False)):
        arguments = [sys.executable, "-I", "-c", f"{command}; import {module}", str(standalone.__file__)]
        assert (subprocess.run(arguments, capture_output=True).returncode == 0) is possible
