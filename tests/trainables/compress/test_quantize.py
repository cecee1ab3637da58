"""Eight bits, chosen by measurement among a few ways."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from trainables import DataConfig, load_data, resnet
from trainables.compress import QuantizeError, Tried, choose, export_onnx, quantize
from trainables.compress.card import INPUT, OUTPUT

DATA = load_data(DataConfig())


class Plain(nn.Module):
    """Without a product of weights."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :10]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the ONNX file of a residual network that has not been trained."""
    path = tmp_path_factory.mktemp("quantize")
    torch.manual_seed(0)
    export_onnx(resnet(DATA.input_shape, 10), DATA.input_shape, path / "model.onnx")
    return path


def test_convolutions_have_weights_in_8_bits_and_no_notes(folder: Path) -> None:
    variant, tried = quantize(folder / "model.onnx", folder / "int8.onnx", DATA.train.inputs, DATA.validation)
    assert (
        variant in [one.variant for one in tried] == ["static, 7-bit weights", "static", "static, signed activations"]
    )
    model = onnx.load(folder / "int8.onnx")
    onnx.checker.check_model(model)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    assert set(kinds.values()) == {onnx.TensorProto.INT8}
    assert not any(node.metadata_props for node in model.graph.node)
    assert {one.domain for one in model.opset_import} == {""}


def test_convolutions_of_few_channels_may_stay_in_floats_unless_they_are_most_of_the_weights(tmp_path: Path) -> None:
    def weights(width: int) -> tuple[str, list[str], dict[str, set[int]]]:
        torch.manual_seed(0)
        export_onnx(resnet(DATA.input_shape, 10, width=width, depth=2), DATA.input_shape, tmp_path / "model.onnx")
        variant, tried = quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", DATA.train.inputs, DATA.validation)
        kinds: dict[str, set[int]] = {"narrow": set(), "wide": set()}
        for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer:
            if len(tensor.dims) == 4:
                kinds["narrow" if tensor.dims[0] < 16 else "wide"].add(tensor.data_type)
        return variant, [one.variant for one in tried], kinds

    mixed = ["static, 7-bit weights, narrow layers in floats", "static, narrow layers in floats"]
    variant, tried, kinds = weights(8)
    assert tried[3:] == mixed
    floats = onnx.TensorProto.FLOAT if variant in mixed else onnx.TensorProto.INT8
    assert kinds == {"narrow": {floats}, "wide": {onnx.TensorProto.INT8}}
    assert len(weights(4)[1]) == 3  # of 4, 8 and 16 channels: the narrow ones hold a third of the weights
    assert len(weights(16)[1]) == 3


def test_names_are_short_but_those_that_a_user_gives(folder: Path) -> None:
    quantize(folder / "model.onnx", folder / "int8.onnx", DATA.train.inputs, DATA.validation)
    graph = onnx.load(folder / "int8.onnx").graph
    outside = {value.name for value in (*graph.input, *graph.output)}
    assert outside == {INPUT, OUTPUT}
    named = {name for node in graph.node for name in (node.name, *node.input, *node.output)} - outside
    assert max(map(len, named)) <= 4
    assert {tensor.name for tensor in graph.initializer} <= named


def test_calibration_takes_inputs_to_train_on(folder: Path) -> None:
    with pytest.raises(QuantizeError, match="there must be inputs to calibrate on, but there are none"):
        quantize(folder / "model.onnx", folder / "none.onnx", DATA.train.inputs[:0], DATA.validation)
    assert not (folder / "none.onnx").exists()


def test_a_model_without_weights_to_quantise_says_so(tmp_path: Path) -> None:
    export_onnx(Plain(), DATA.input_shape, tmp_path / "model.onnx")
    with pytest.raises(QuantizeError, match="neither convolutions nor linear layers"):
        quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", DATA.train.inputs, DATA.validation)


def test_a_file_that_is_damaged_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(QuantizeError, match="cannot be quantised"):
        quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", DATA.train.inputs, DATA.validation)


@pytest.mark.parametrize(
    ("tried", "best"),
    [
        ([Tried("a", 0.98, 0.1, 1.0), Tried("b", 0.90, 0.1, 0.2)], "a"),
        ([Tried("a", 0.980, 0.1, 1.0), Tried("b", 0.979, 0.19, 0.5)], "b"),
        ([Tried("a", 0.980, 0.01, 1.0), Tried("b", 0.985, 0.1, 0.5)], "a"),
        ([Tried("a", 0.980, 0.1, 1.0), Tried("b", 0.981, 0.11, 0.85)], "a"),
        ([Tried("a", 0.980, 0.12, 1.0), Tried("b", 0.981, 0.11, 1.2)], "b"),
        ([Tried("a", error="it broke"), Tried("b", 0.5, 0.9, 3.0)], "b"),
    ],
)
def test_the_fastest_of_those_that_are_good_and_faithful_is_chosen(tried: list[Tried], best: str) -> None:
    assert choose(tried).variant == best


def test_where_none_works_the_first_error_is_told() -> None:
    with pytest.raises(QuantizeError, match="cannot be quantised: it broke"):
        choose([Tried("a", error="it broke"), Tried("b", error="so did it")])
