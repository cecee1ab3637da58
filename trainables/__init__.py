"""How one model trains and shrinks. Knows no cluster and no search."""

from trainables.augment import DRAWS, Augment, Draws
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
from trainables.data import Column, DataError, Dataset, DataWarning, Split, as_floats, load_data
from trainables.errors import SettingError, StudentError
from trainables.evaluation import Evaluation, evaluate
from trainables.fitting import check_fit
from trainables.models import ModelError, build_model, check_model, cnn, mlp, mobile, resnet
from trainables.objectives import Objective
from trainables.optim import build_optimizer
from trainables.parallel import SOLO, Group, free_address, join_group, leave_group
from trainables.schedules import Schedule
from trainables.stopping import EarlyStopping
from trainables.trainer import METRIC_MODES, Diverged, EpochMetrics, Trainer, metric_names
from trainables.worker import Worker

__all__ = [
    "DRAWS",
    "METRIC_MODES",
    "SOLO",
    "Augment",
    "AugmentConfig",
    "CheckpointError",
    "Column",
    "DataConfig",
    "DataError",
    "DataWarning",
    "Dataset",
    "Diverged",
    "Draws",
    "EarlyStopping",
    "EpochMetrics",
    "Evaluation",
    "Group",
    "ModelConfig",
    "ModelError",
    "Objective",
    "OptimizerConfig",
    "Schedule",
    "ScheduleConfig",
    "SettingError",
    "Split",
    "StoppingConfig",
    "StudentError",
    "TrainConfig",
    "Trainer",
    "Worker",
    "as_floats",
    "build_model",
    "build_optimizer",
    "check_fit",
    "check_model",
    "cnn",
    "evaluate",
    "free_address",
    "join_group",
    "leave_group",
    "load_checkpoint",
    "load_data",
    "metric_names",
    "mlp",
    "mobile",
    "resnet",
    "save_checkpoint",
]
