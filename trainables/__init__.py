"""How one model trains and shrinks. Knows no cluster and no search."""

from trainables.augment import Augment
from trainables.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from trainables.config import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    StoppingConfig,
    TrainConfig,
)
from trainables.data import DataError, Dataset, Split, as_floats, load_data
from trainables.evaluation import evaluate
from trainables.models import ModelError, build_model, check_model, mlp, resnet
from trainables.optim import build_optimizer, build_schedule
from trainables.parallel import SOLO, Group, free_address, join_group, leave_group
from trainables.stopping import EarlyStopping
from trainables.trainer import Diverged, EpochMetrics, Trainer, metric_names
from trainables.worker import Worker

__all__ = [
    "SOLO",
    "Augment",
    "AugmentConfig",
    "CheckpointError",
    "DataConfig",
    "DataError",
    "Dataset",
    "Diverged",
    "EarlyStopping",
    "EpochMetrics",
    "Group",
    "ModelConfig",
    "ModelError",
    "OptimizerConfig",
    "ScheduleConfig",
    "Split",
    "StoppingConfig",
    "TrainConfig",
    "Trainer",
    "Worker",
    "as_floats",
    "build_model",
    "build_optimizer",
    "build_schedule",
    "check_model",
    "evaluate",
    "free_address",
    "join_group",
    "leave_group",
    "load_checkpoint",
    "load_data",
    "metric_names",
    "mlp",
    "resnet",
    "save_checkpoint",
]
