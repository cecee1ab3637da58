"""Smaller models from a trained one: prune, distil, quantise, export, verify."""

from trainables.compress.artefact import Artefact, load, open_artefact, torch_call
from trainables.compress.candidate import compress, dense_id, export_dense, export_student, student_row
from trainables.compress.card import ArtefactError, check_file, read_card, write_card
from trainables.compress.cost import Cost, cost
from trainables.compress.deliver import Origin, deliver
from trainables.compress.distil import DistilError, Distillation, Ensemble, frozen, recalibrate
from trainables.compress.export import ExportError, export_onnx, export_pt2, save_weights
from trainables.compress.hints import Guided, HintError
from trainables.compress.latency import Latency, Timed, measure_calls, measure_latency, time_artefacts
from trainables.compress.losses import OF_CLASSES, dist, dkd, kl, logit_standard
from trainables.compress.plan import CompressPlan, Parent, StudentConfig, Target
from trainables.compress.predict import Model, Prediction, open_model, predict
from trainables.compress.prunable import PruneError, Pruning
from trainables.compress.prune import Pruned, PruneWarning, prune, prune_exactly
from trainables.compress.quantize import QuantizeError, Tried, choose, quantize
from trainables.compress.row import CompressedModel
from trainables.compress.sparse import GradualSparsity, load_weights, prunable_weights, save_sparse
from trainables.compress.student import Student, StudentTrainer, make_student
from trainables.compress.task import StudentTask, StudentWorker, load_student
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
from trainables.compress.widths import WidthError, Widths, load_pruned, narrowed, widths_of

__all__ = [
    "FAITHFUL",
    "OF_CLASSES",
    "QUANTISED",
    "Artefact",
    "ArtefactError",
    "Bounds",
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
    "Model",
    "Origin",
    "Parent",
    "Parity",
    "Prediction",
    "PruneError",
    "PruneWarning",
    "Pruned",
    "Pruning",
    "QuantizeError",
    "Student",
    "StudentConfig",
    "StudentTask",
    "StudentTrainer",
    "StudentWorker",
    "Target",
    "Timed",
    "Tried",
    "WidthError",
    "Widths",
    "artefact_outputs",
    "artefact_score",
    "check_alone",
    "check_file",
    "choose",
    "compare",
    "compress",
    "cost",
    "deliver",
    "dense_id",
    "dist",
    "dkd",
    "export_dense",
    "export_onnx",
    "export_pt2",
    "export_student",
    "frozen",
    "kl",
    "load",
    "load_pruned",
    "load_student",
    "load_weights",
    "logit_standard",
    "make_student",
    "measure_calls",
    "measure_latency",
    "narrowed",
    "open_artefact",
    "open_model",
    "parity",
    "predict",
    "prunable_weights",
    "prune",
    "prune_exactly",
    "quantize",
    "read_card",
    "recalibrate",
    "save_sparse",
    "save_weights",
    "score",
    "student_row",
    "time_artefacts",
    "torch_call",
    "torch_outputs",
    "widths_of",
    "write_card",
]
