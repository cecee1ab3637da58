"""Early stopping: a small state machine over one validation value an epoch."""

from __future__ import annotations

from math import inf
from typing import Any

from trainables.config import StoppingConfig


class EarlyStopping:
    """Watches a value that should fall. Without a patience it never stops, but still knows the best."""

    def __init__(self, config: StoppingConfig) -> None:
        self.config = config
        self.best = inf
        self.waited = 0

    def update(self, value: float) -> bool:
        """Takes one epoch's value; True if it is better than the best so far by more than `min_delta`."""
        improved = value < self.best - self.config.min_delta
        if improved:
            self.best = value
        self.waited = 0 if improved else self.waited + 1
        return improved

    @property
    def stop(self) -> bool:
        return self.config.patience is not None and self.waited >= self.config.patience

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
