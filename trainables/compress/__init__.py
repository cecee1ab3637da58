"""Smaller models from a trained one: prune, distil, export, verify."""

from trainables.compress.candidate import DENSE, compress, compress_one, export_dense, model_id
from trainables.compress.cost import Cost, cost
from trainables.compress.distil import DistilError, Distillation, Ensemble, frozen, recalibrate
from trainables.compress.export import ExportError, export_onnx, save_weights, write_card
from trainables.compress.hints import Guided, HintError
from trainables.compress.losses import dist, dkd, kl, logit_standard
from trainables.compress.plan import CompressedModel, CompressPlan, Parent, StudentConfig
from trainables.compress.prune import PruneError, Pruning, prune
from trainables.compress.sparse import GradualSparsity, load_weights, prunable_weights, save_sparse
from trainables.compress.student import StudentTrainer, make_student
from trainables.compress.verify import Latency, Parity, measure_latency, onnx_accuracy, onnx_logits, parity
from trainables.compress.widths import WidthError, Widths, load_pruned, narrowed, widths_of

__all__ = [
    "DENSE",
    "CompressPlan",
    "CompressedModel",
    "Cost",
    "DistilError",
    "Distillation",
    "Ensemble",
    "ExportError",
    "GradualSparsity",
    "Guided",
    "HintError",
    "Latency",
    "Parent",
    "Parity",
    "PruneError",
    "Pruning",
    "StudentConfig",
    "StudentTrainer",
    "WidthError",
    "Widths",
    "compress",
    "compress_one",
    "cost",
    "dist",
    "dkd",
    "export_dense",
    "export_onnx",
    "frozen",
    "kl",
    "load_pruned",
    "load_weights",
    "logit_standard",
    "make_student",
    "measure_latency",
    "model_id",
    "narrowed",
    "onnx_accuracy",
    "onnx_logits",
    "parity",
    "prunable_weights",
    "prune",
    "recalibrate",
    "save_sparse",
    "save_weights",
    "widths_of",
    "write_card",
]
