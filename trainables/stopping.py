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
        self.last_gain = inf
        self.waited = 0

    def update(self, value: float) -> bool:
        """Takes one epoch's value; True if it is the best so far, by however little.

        Patience starts again only at a value better by more than `min_delta` than the one at which it last did.
        """
        if value < self.last_gain - self.config.min_delta:
            self.last_gain, self.waited = value, 0
        else:
            self.waited += 1
        improved = value < self.best
        if improved:
            self.best = value
        return improved

    @property
    def stop(self) -> bool:
        return self.config.patience is not None and self.waited >= self.config.patience

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "last_gain": self.last_gain, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.last_gain, self.waited = state["best"], state["last_gain"], state["waited"]
