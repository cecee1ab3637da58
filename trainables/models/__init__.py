"""The shipped models, and how a user's own is built like them."""

from trainables.models.arguments import MOST_DEPTH, MOST_WIDTH, ModelError
from trainables.models.build import BUILDERS, build_model, check_model, find_builder, materialized
from trainables.models.cnn import cnn
from trainables.models.mlp import mlp
from trainables.models.mobile import mobile
from trainables.models.resnet import resnet

__all__ = [
    "BUILDERS",
    "MOST_DEPTH",
    "MOST_WIDTH",
    "ModelError",
    "build_model",
    "check_model",
    "cnn",
    "find_builder",
    "materialized",
    "mlp",
    "mobile",
    "resnet",
]
