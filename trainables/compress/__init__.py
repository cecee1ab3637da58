"""Smaller models from a trained one: prune, distil, export, verify."""

from trainables.compress.candidate import DENSE, compress, compress_one, export_dense, model_id
from trainables.compress.distil import Distillation, distil, recalibrate
from trainables.compress.export import ExportError, export_onnx, save_weights, write_card
from trainables.compress.plan import CompressedModel, CompressPlan, Parent
from trainables.compress.prune import Cost, PruneError, cost, prune
from trainables.compress.verify import Latency, Parity, measure_latency, onnx_accuracy, onnx_logits, parity

__all__ = [
    "DENSE",
    "CompressPlan",
    "CompressedModel",
    "Cost",
    "Distillation",
    "ExportError",
    "Latency",
    "Parent",
    "Parity",
    "PruneError",
    "compress",
    "compress_one",
    "cost",
    "distil",
    "export_dense",
    "export_onnx",
    "measure_latency",
    "model_id",
    "onnx_accuracy",
    "onnx_logits",
    "parity",
    "prune",
    "recalibrate",
    "save_weights",
    "write_card",
]
