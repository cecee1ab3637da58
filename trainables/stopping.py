"""Early stopping: a small state machine over one evaluation an epoch."""

from __future__ import annotations

from math import inf
from typing import Any

from trainables.config import StoppingConfig
from trainables.evaluation import Evaluation


class EarlyStopping:
    """Watches the metric of its settings. Without a patience it never stops, but still knows the best."""

    def __init__(self, config: StoppingConfig) -> None:
        self.config = config
        self.best = inf
        self.last_gain = inf
        self.waited = 0

    def update(self, result: Evaluation) -> bool:
        """Takes one epoch's evaluation, which has the metric; True if it is the best so far, by however little.

        Patience starts again only at a value better by more than `min_delta` than the one at which it last did.
        """
        value = self._loss(result)
        if value < self.last_gain - self.config.min_delta:
            self.last_gain, self.waited = value, 0
        else:
            self.waited += 1
        improved = value < self.best
        if improved:
            self.best = value
        return improved

    def _loss(self, result: Evaluation) -> float:
        """What should fall."""
        match self.config.metric:
            case "val_loss":
                return result.loss
            case "val_accuracy":
                gain = result.accuracy
            case "val_r2":
                gain = result.r2
        if gain is None:
            raise ValueError(f"{self.config.metric} was not measured")
        return -gain

    @property
    def stop(self) -> bool:
        return self.config.patience is not None and self.waited >= self.config.patience

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "last_gain": self.last_gain, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.last_gain, self.waited = state["best"], state["last_gain"], state["waited"]
