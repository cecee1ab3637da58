"""Checks that reject a delivered model, and the figures that pruning goes by, against values counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables import Dataset, Split
from trainables.compress import (
    CompressedModel,
    Origin,
    PruneError,
    Tried,
    check_alone,
    cost,
    deliver,
    export_onnx,
    export_pt2,
    prune,
    standalone,
)
from trainables.compress.importance import scorer


class Above(nn.Module):
    """The second class for features above a bound."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = nn.Parameter(torch.tensor(bound))

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(features), features - self.bound], 1)


def above_zero() -> Dataset:
    """200 features that are spread evenly, each right for a bound of 0."""
    features = torch.linspace(-1, 1, 200)[:, None]
    split = Split(features, (features[:, 0] > 0).long())
    return Dataset(split, split, split, ("below", "above"), torch.zeros(1), torch.ones(1))


def delivered(folder: Path, *, int8: bool) -> list[CompressedModel]:
    row = CompressedModel(id="one", parent="t1", kind="dense", status="ok")
    return deliver(row, Above(0.0), above_zero(), folder, Origin({}), int8=int8)


def quantised_as(bound: float) -> Any:
    """A quantiser whose model has another bound."""

    def quantize(path: Path, target: Path, *_: object) -> tuple[str, list[Any]]:
        export_onnx(Above(bound), (1,), target)
        return "other", [Tried("other")]

    return quantize


@pytest.mark.parametrize(
    ("bound", "fault"), [(0.06, "drop: scores 97.00% on validation, more than 1.00%"), (0.005, "")]
)
def test_an_int8_model_that_agrees_but_loses_accuracy_is_rejected(
    bound: float, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(deliver.__globals__, "quantize", quantised_as(bound))
    whole, int8 = delivered(tmp_path, int8=True)
    assert whole.status == "ok"
    assert int8.parity_agreement is not None
    assert int8.parity_agreement >= 0.95
    assert int8.status == ("rejected" if fault else "ok")
    assert int8.reason.startswith(fault)


def test_a_model_whose_pt2_alone_differs_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_: object, shape: tuple[int, ...], path: Path) -> None:
        export_pt2(Above(0.5), shape, path)

    monkeypatch.setitem(deliver.__globals__, "export_pt2", other)
    (row,) = delivered(tmp_path, int8=False)
    assert row.status == "rejected"
    assert row.reason.startswith("model.pt2: parity: outputs differ by 0.5")
    assert row.val_accuracy == 1


def test_wrong_outputs_of_the_fresh_process_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_onnx(Above(0.0), (1,), tmp_path / "model.onnx")
    inputs = above_zero().test.inputs[:4]
    assert check_alone([tmp_path / "model.onnx"], inputs) == [""]
    code = Path(standalone.__file__).read_text()
    assert code.count(", outputs)") == 1
    (tmp_path / "wrong.py").write_text(code.replace(", outputs)", ", outputs + 1)"))
    monkeypatch.setattr(standalone, "__file__", str(tmp_path / "wrong.py"))
    (fault,) = check_alone([tmp_path / "model.onnx"], inputs)
    assert fault.startswith("in a fresh process, parity: outputs differ by 1")


def test_saliency_is_the_squared_product_of_weight_and_gradient() -> None:
    """Equation 8 of arXiv:1906.10771."""
    torch.manual_seed(0)
    model, examples = nn.Linear(5, 3), Split(torch.randn(40, 5), torch.arange(40) % 3)
    before = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]
    functional.cross_entropy(functional.linear(examples.inputs, *before), examples.targets).backward()
    scorer("taylor", model, examples)
    for parameter, old in zip(model.parameters(), before, strict=True):
        assert old.grad is not None
        torch.testing.assert_close(parameter.detach(), (old.detach() * old.grad) ** 2)


def test_a_tenth_of_the_channels_of_a_layer_stays() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    pruned: Any = prune(model, (1, 8, 8), 0.1)
    assert pruned[1].out_features == 10
    assert cost(pruned, (1, 8, 8)).macs * 10 == cost(model, (1, 8, 8)).macs
    with pytest.raises(PruneError, match=r"cannot keep 0.09 of the operations: the least possible is 0.1$"):
        prune(model, (1, 8, 8), 0.09)
