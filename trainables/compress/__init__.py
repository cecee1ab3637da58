"""Smaller models from a trained one: prune, distil, quantise, export, verify."""

from trainables.compress.artefact import Artefact, load, open_artefact, torch_call
from trainables.compress.candidate import DENSE, compress, compress_one, export_dense, model_id
from trainables.compress.card import ArtefactError, check_file, read_card, write_card
from trainables.compress.deliver import Origin, deliver
from trainables.compress.distil import Distillation, distil, recalibrate
from trainables.compress.export import ExportError, export_onnx, export_pt2, save_weights
from trainables.compress.latency import Latency, Timed, measure_calls, measure_latency, time_artefacts
from trainables.compress.plan import CompressPlan, Parent
from trainables.compress.predict import Prediction, predict
from trainables.compress.prune import Cost, PruneError, cost, prune
from trainables.compress.quantize import QuantizeError, Tried, choose, quantize
from trainables.compress.row import CompressedModel
from trainables.compress.verify import (
    FAITHFUL,
    QUANTISED,
    Bounds,
    Parity,
    artefact_outputs,
    artefact_score,
    check_alone,
    compare,
    parity,
    score,
    torch_outputs,
)

__all__ = [
    "DENSE",
    "FAITHFUL",
    "QUANTISED",
    "Artefact",
    "ArtefactError",
    "Bounds",
    "CompressPlan",
    "CompressedModel",
    "Cost",
    "Distillation",
    "ExportError",
    "Latency",
    "Origin",
    "Parent",
    "Parity",
    "Prediction",
    "PruneError",
    "QuantizeError",
    "Timed",
    "Tried",
    "artefact_outputs",
    "artefact_score",
    "check_alone",
    "check_file",
    "choose",
    "compare",
    "compress",
    "compress_one",
    "cost",
    "deliver",
    "distil",
    "export_dense",
    "export_onnx",
    "export_pt2",
    "load",
    "measure_calls",
    "measure_latency",
    "model_id",
    "open_artefact",
    "parity",
    "predict",
    "prune",
    "quantize",
    "read_card",
    "recalibrate",
    "save_weights",
    "score",
    "time_artefacts",
    "torch_call",
    "torch_outputs",
    "write_card",
]
