"""A training loop of the user's own: a function `train(config, trial)` that reports each epoch."""

from trainables.loop.config import LoopConfig, find_loop
from trainables.loop.local import LocalTrial
from trainables.loop.trial import RESERVED, LoopError, LoopStopped, LoopTrial, column
from trainables.loop.worker import LoopWorker

__all__ = [
    "RESERVED",
    "LocalTrial",
    "LoopConfig",
    "LoopError",
    "LoopStopped",
    "LoopTrial",
    "LoopWorker",
    "column",
    "find_loop",
]
