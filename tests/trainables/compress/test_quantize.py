"""Eight bits, chosen by measurement among a few ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables import DataConfig, Split, load_data, resnet
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


class Upward(nn.Module):
    """A convolution, and up to two transposed ones of a weight each, which may be that of the convolution."""

    def __init__(self, up: Callable[[Any, Tensor], Tensor], *shape: int, bias: int = 0) -> None:
        super().__init__()
        self.up = up
        self.first = nn.Conv2d(1, 24, 3)
        self.weight = nn.Parameter(torch.randn(shape) / 10)
        self.bias = nn.Parameter(torch.randn(bias)) if bias else None
        self.last = nn.LazyLinear(10)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.up(self, self.first(images).relu()).relu().flatten(2).mean(2))
        return outputs


def up2(groups: int) -> Callable[..., Tensor]:
    return lambda net, x: functional.conv_transpose2d(x, net.weight, net.bias, groups=groups)


def down_and_up(net: Upward, x: Tensor) -> Tensor:
    return functional.conv_transpose2d(functional.conv2d(x, net.weight), net.weight)


@pytest.mark.parametrize(
    ("model", "in_floats"),
    [
        (lambda: Upward(up2(4), 24, 10, 2, 2, bias=40), 1),
        (lambda: Upward(up2(2), 24, 24, 2, 2, bias=48), 1),
        (lambda: Upward(up2(4), 24, 10, 2, 2), 0),
        (lambda: Upward(up2(24), 24, 1, 2, 2, bias=24), 0),
        (lambda: Upward(up2(1), 24, 40, 2, 2, bias=40), 0),
        (lambda: Upward(lambda net, x: up2(4)(net, up2(4)(net, x)), 24, 6, 2, 2, bias=24), 2),
        (lambda: Upward(down_and_up, 40, 24, 3, 3), 2),
        (
            lambda: Upward(
                lambda net, x: functional.conv_transpose1d(x.flatten(2), net.weight, net.bias, groups=4),
                *(24, 10, 2),
                bias=40,
            ),
            1,
        ),
        (
            lambda: Upward(
                lambda net, x: functional.conv_transpose3d(x[:, :, None], net.weight, net.bias, groups=4),
                *(24, 10, 2, 2, 2),
                bias=40,
            ),
            1,
        ),
        (
            lambda: Upward(
                lambda net, x: functional.conv_transpose2d(x, net.weight * (1 + x.mean()), net.bias, groups=2),
                *(24, 20, 3, 3),
                bias=40,
            ),
            0,
        ),
    ],
)
def test_layers_without_right_scales_stay_in_floats_and_the_rest_does_not(
    model: Callable[[], nn.Module], in_floats: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = model().eval()
    with torch.no_grad():
        classes = net(DATA.validation.inputs).argmax(1)
    export_onnx(net, DATA.input_shape, tmp_path / "model.onnx")
    own = Split(DATA.validation.inputs, classes)
    _, tried = quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", DATA.train.inputs, own)
    assert [one.error for one in tried] == [""] * len(tried)
    assert {len(one.unfit) for one in tried} == {in_floats}
    assert max(one.distortion for one in tried) < 0.05
    graph = onnx.load(tmp_path / "int8.onnx").graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    layers = [makers.get(node.input[1]) for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm")]
    assert len(layers) >= 3
    assert layers.count("DequantizeLinear") == len(layers) - in_floats


def test_a_model_that_would_stay_in_floats_whole_is_refused(tmp_path: Path) -> None:
    layer = nn.ConvTranspose2d(8, 40, 2, 2, groups=4)
    export_onnx(nn.Sequential(layer, nn.Flatten()), (8, 4, 4), tmp_path / "model.onnx")
    inputs = torch.rand(8, 8, 4, 4)
    with pytest.raises(QuantizeError, match="all of its layers stay in floats: node_"):
        quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", inputs, Split(inputs, torch.zeros(8).long()))
    assert not (tmp_path / "int8.onnx").exists()
