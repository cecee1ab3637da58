"""Weights and activations in 8 bits: a few ways are tried, and this processor says which is best.

Processors differ: without VNNI instructions (AVX2), products of full 8-bit weights saturate, and 7-bit weights are
more accurate at the same speed; signed activations are slow on some and fast on others. Convolutions of few channels
may be slower in 8 bits than in floats: they fill no vector register, and their inputs are copied first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.compress.card import INPUT
from trainables.compress.export import quiet
from trainables.compress.latency import measure_latency
from trainables.compress.verify import artefact_outputs, score
from trainables.data import Split, as_floats
from trainables.storage import write_bytes

CALIBRATION, JUDGED, BATCH = 512, 2048, 64
"""Examples that say how far activations range, examples that variants are compared on, and how many at a time."""
CLOSE, NOISE = 0.002, 0.25
"""Scores this near to the best one count as equal, and so do times, relative to the shortest.

What a processor is slow at takes half as long again or more; less is noise, which should not decide.
"""
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
NARROW, LIGHT = 16, 0.1
"""Convolutions to fewer channels may stay in floats, if all of these hold at most that fraction of the weights."""
_BETWEEN = ("Add", "Relu")
"""What stays in floats where all of its inputs are."""


class QuantizeError(ValueError):
    """A model that cannot be quantised, or nothing to calibrate it on."""


@dataclass(frozen=True)
class Variant:
    """A way to quantise, with scales for each output channel.

    dynamic: how far activations range is found at each call, not from calibration. floats: nodes left as they are for
    speed; unfit: those that cannot be quantised.
    """

    name: str
    dynamic: bool = False
    reduce_range: bool = False
    signed: bool = False
    floats: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()


STATIC = (
    Variant("static, 7-bit weights", reduce_range=True),
    Variant("static"),
    Variant("static, signed activations", signed=True),
)
DYNAMIC = (Variant("dynamic, 7-bit weights", dynamic=True, reduce_range=True), Variant("dynamic", dynamic=True))
"""For models of linear layers only: a convolution whose ranges are found at each call is slower than in floats."""


@dataclass(frozen=True)
class Tried:
    """What a variant came to on examples of the validation part.

    score: accuracy or R². distortion: the root of the mean squared difference from the outputs in floats, relative to
    the root of their mean square. latency_ms: of one example. All are 0 where there is an error. unfit: nodes that stay
    in floats, since they cannot be quantised.
    """

    variant: str
    score: float = 0.0
    distortion: float = 0.0
    latency_ms: float = 0.0
    bytes: int = 0
    error: str = ""
    unfit: tuple[str, ...] = ()


def quantize(path: Path, target: Path, calibration: Tensor, validation: Split) -> tuple[str, list[Tried]]:
    """Write the ONNX model at `path` in 8 bits to `target`: the name of the variant chosen, and all that were tried.

    calibration: inputs to train on, floats or uint8, of which a fixed sample is used. Raises QuantizeError.
    """
    if not len(calibration):
        raise QuantizeError("cannot be calibrated: there must be inputs to calibrate on, but there are none")
    with TemporaryDirectory() as scratch, quiet():
        folder = Path(scratch)
        prepared, variants = _prepare(path, folder)
        examples = as_floats(calibration[sample(len(calibration), CALIBRATION)].cpu()).numpy()
        files = {variant.name: folder / f"{number}.onnx" for number, variant in enumerate(variants)}
        made = [_made(variant, prepared, files[variant.name], examples) for variant in variants]
        judged = validation[sample(len(validation), JUDGED)]
        floats = artefact_outputs(path, judged.inputs)
        scored = [_scored(one, files[one.variant], judged, floats) for one in made]
        tried = _timed(scored, files, examples.shape[1:])
        best = choose(tried)
        write_bytes(target, files[best.variant].read_bytes())
    return best.variant, tried


def choose(tried: Sequence[Tried]) -> Tried:
    """The fastest of those that are at most twice as distorted as the least, and score as well as the best of them.

    Of those that are equally fast it is the least distorted. A score alone may be luck: products that saturate have
    been seen to change a logit by a quarter and get one more image right. Raises QuantizeError if none works.
    """
    working = [one for one in tried if not one.error]
    if not working:
        raise QuantizeError(f"cannot be quantised: {tried[0].error}")
    least = min(one.distortion for one in working)
    faithful = [one for one in working if one.distortion <= 2 * least]
    best = max(one.score for one in faithful)
    good = [one for one in faithful if one.score >= best - CLOSE]
    fastest = min(one.latency_ms for one in good)
    return min((one for one in good if one.latency_ms <= fastest * (1 + NOISE)), key=lambda one: one.distortion)


def sample(length: int, most: int) -> Tensor:
    """The same random indices each time, all if there are no more than `most`."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(0))[:most]


def _prepare(path: Path, folder: Path) -> tuple[Path, tuple[Variant, ...]]:
    """The model with BatchNorm folded into its convolutions and all shapes known, and the variants that suit it."""
    # Not at the top, here and below: every process of a sweep would wait for what only this stage uses.
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = folder / "prepared.onnx"
    try:
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
    except Exception as error:  # the library passes on whatever it trips over
        raise QuantizeError(f"cannot be quantised: {_said(error)}") from error
    kinds = {node.op_type for node in graph.node} & set(_PRODUCTS)
    if not kinds:
        raise QuantizeError("cannot be quantised: it has neither convolutions nor linear layers")
    if not kinds & {"Conv", "ConvTranspose"}:
        return prepared, DYNAMIC
    unfit, narrow = _unfit(graph), _narrow(graph)
    if unfit.issuperset(node.name for node in graph.node if node.op_type in _PRODUCTS):
        raise QuantizeError(f"cannot be quantised: all of its layers stay in floats: {', '.join(sorted(unfit))}")
    static = [replace(one, unfit=tuple(sorted(unfit))) for one in STATIC]
    mixed = [replace(one, name=f"{one.name}, narrow layers in floats", floats=narrow) for one in static[:2]]
    return prepared, (*static, *(mixed if narrow else ()))


def _unfit(graph: Any) -> set[str]:
    """Nodes for which ONNX Runtime's quantiser has no right scales, since it makes one for each index of one axis.

    Transposed convolutions in groups have a bias for each output channel, and a weight with an axis for those of one
    group only. A weight that is shared by nodes whose output channels are on different axes has scales for one of them.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    users: dict[str, dict[str, int]] = defaultdict(dict)
    found = set[str]()
    for node in graph.node:
        if node.op_type not in _PRODUCTS or node.input[1] not in shapes:
            continue
        users[node.input[1]][node.name] = _channel_axis(node, len(shapes[node.input[1]]))
        bias = shapes.get(node.input[2]) if node.op_type == "ConvTranspose" and len(node.input) > 2 else None
        if bias and shapes[node.input[1]][1] not in (1, *bias):
            found.add(node.name)
    return found.union(*(axes for axes in users.values() if len(set(axes.values())) > 1))


def _channel_axis(node: Any, rank: int) -> int:
    """The axis of the weight that the quantiser takes for that of the output channels."""
    match node.op_type:
        case "Conv":
            return 0
        case "Gemm":
            return 0 if any(one.name == "transB" and one.i for one in node.attribute) else 1
        case _:
            return min(1, rank - 1)


def _narrow(graph: Any) -> tuple[str, ...]:
    """The convolutions to few channels, with what lies between them; none if they hold too many of the weights."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found, floats, weights = list[str](), set[str](), 0
    for node in graph.node:
        if node.op_type == "Conv" and shapes.get(node.input[1], (NARROW,))[0] < NARROW:
            weights += math.prod(shapes[node.input[1]])
        elif node.op_type not in _BETWEEN or not floats.issuperset(node.input):
            continue
        found.append(node.name)
        floats.update(node.output)
    return tuple(found) if weights <= LIGHT * sum(map(math.prod, shapes.values())) else ()


def _made(variant: Variant, prepared: Path, path: Path, examples: np.ndarray) -> Tried:
    try:
        _write(variant, prepared, path, examples)
        _clean(path)
    except Exception as error:  # as above; the other variants are tried all the same
        return Tried(variant.name, error=_said(error))
    return Tried(variant.name, bytes=path.stat().st_size, unfit=variant.unfit)


def _write(variant: Variant, prepared: Path, path: Path, examples: np.ndarray) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    if variant.dynamic:
        quantize_dynamic(str(prepared), str(path), per_channel=True, reduce_range=variant.reduce_range)
        return
    quantize_static(
        str(prepared),
        str(path),
        _Batches(examples),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=variant.reduce_range,
        activation_type=QuantType.QInt8 if variant.signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[*variant.floats, *variant.unfit],
    )


def _clean(path: Path) -> None:
    """Drop what no runtime needs: notes, long names, shapes that can be inferred, operator sets that no node is of."""
    import onnx

    model = onnx.load(path)
    used = {node.domain for node in model.graph.node} | {""}
    for unused in [one for one in model.opset_import if one.domain not in used]:
        model.opset_import.remove(unused)
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
        node.ClearField("name")
    _shorten_names(model.graph)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _shorten_names(graph: Any) -> None:
    """Number the values inside the graph: of a small network their names make up a quarter of the file.

    A graph whose nodes hold graphs of their own keeps its names, since those may refer to them.
    """
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return
    outside = {value.name for value in (*graph.input, *graph.output)} | {""}  # "" is an input that is left out
    named = dict.fromkeys(name for node in graph.node for name in (*node.input, *node.output))
    short = {name: f"v{number}" for number, name in enumerate(name for name in named if name not in outside)}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [short.get(name, name) for name in names]
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)


def _scored(tried: Tried, path: Path, judged: Split, floats: Tensor) -> Tried:
    """With its score on the examples, for which the model in floats gives `floats`."""
    if tried.error:
        return tried
    try:
        outputs = artefact_outputs(path, judged.inputs)
    except ValueError as error:
        return replace(tried, error=_said(error))
    distortion = float((outputs - floats).norm() / floats.norm().clamp_min(torch.finfo(torch.float32).tiny))
    if not math.isfinite(distortion):
        return replace(tried, error="its outputs are not finite")
    return replace(tried, score=score(outputs, judged.targets), distortion=distortion)


def _timed(tried: Sequence[Tried], files: dict[str, Path], input_shape: Sequence[int]) -> list[Tried]:
    """The working ones with their latency, measured side by side."""
    working = [one.variant for one in tried if not one.error]
    if not working:
        return list(tried)
    rows = measure_latency([files[name] for name in working], input_shape, batches=(1,), repeats=50, warmup=5)
    medians = dict(zip(working, (row.median_ms for row in rows), strict=True))
    return [replace(one, latency_ms=medians.get(one.variant, 0.0)) for one in tried]


def _said(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class _Batches:
    """Examples (N, …) float32 as calibration asks for them, batch by batch."""

    def __init__(self, examples: np.ndarray) -> None:
        starts = range(0, len(examples), BATCH)
        self._batches = iter([{INPUT: examples[start : start + BATCH]} for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)
