"""The learning rate over time: a function of the step, and for plateau of what validation has shown."""

from __future__ import annotations

from math import cos, inf, pi
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from trainables.config import ScheduleConfig

# As in torch's OneCycleLR: the first and the last rate as fractions of the highest, and how long the climb takes.
_FIRST, _LAST, _CLIMB = 1 / 25, 1 / 25e4, 0.3
# As in torch's ReduceLROnPlateau: a loss must fall by this fraction of the least one to count as a gain.
_GAIN = 1e-4


class Schedule:
    """Sets the optimiser's learning rate: for the first step at once, for the next one with each `step()`."""

    def __init__(
        self, optimizer: Optimizer, config: ScheduleConfig, *, lr: float, epochs: int, steps_per_epoch: int
    ) -> None:
        self._optimizer, self._config, self._lr = optimizer, config, lr
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._step = 0
        self._factor, self._best, self._waited = 1.0, inf, 0
        self._set()

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return self._lr * self._factor * self._fraction(self._step)

    def step(self) -> None:
        """A batch was trained."""
        self.take(1)

    def take(self, steps: int) -> list[float]:
        """The rates of the next steps, which count as trained."""
        rates = [self._lr * self._factor * self._fraction(self._step + step) for step in range(steps)]
        self._step += steps
        self._set()
        return rates

    def end_epoch(self, val_loss: float) -> None:
        """An epoch was validated: plateau looks whether that was a gain."""
        if self._config.name != "plateau":
            return
        if val_loss < self._best * (1 - _GAIN):
            self._best, self._waited = val_loss, 0
        else:
            self._waited += 1
        if self._waited > self._config.patience:
            self._factor, self._waited = self._factor * self._config.gamma, 0
        self._set()

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step, "factor": self._factor, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._step, self._factor = state["step"], state["factor"]
        self._best, self._waited = state["best"], state["waited"]
        self._set()

    def _set(self) -> None:
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):  # which a recorded step reads
                group["lr"].fill_(self.lr)
            else:
                group["lr"] = self.lr

    def _fraction(self, step: int) -> float:
        """Of the whole rate, at that step."""
        config, steps = self._config, self._epochs * self._steps_per_epoch
        warmup = config.warmup * self._steps_per_epoch
        if config.name == "one_cycle":
            return _one_cycle(step, warmup or _CLIMB * steps, steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        epoch = (step - warmup) // self._steps_per_epoch
        match config.name:
            case "step":
                return float(config.gamma ** (epoch // config.step_size))
            case "exponential":
                return float(config.gamma**epoch)
            case "cosine":
                return _between(1.0, 0.0, (step - warmup) / (steps - warmup))
        return 1.0


def _one_cycle(step: int, climb: float, steps: int) -> float:
    """From the first rate to the whole one within `climb` steps, then to the last one."""
    top = climb - 1
    if step < top:
        return _between(_FIRST, 1.0, step / top)
    return _between(1.0, _LAST, (step - top) / (steps - 1 - top))


def _between(start: float, end: float, done: float) -> float:
    """Half a wave of the cosine from start to end; `done` is from 0 to 1."""
    return end + (start - end) * 0.5 * (1 + cos(pi * min(1.0, done)))
