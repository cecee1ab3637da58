"""ASHA: Ray's own brackets and rungs, fed in an order that a journal can repeat."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from orchestrator.record import Record
from orchestrator.sweep import AshaConfig


class _Name(NamedTuple):
    """All that a bracket of Ray's asks of a trial."""

    trial_id: str


class Asha(AsyncHyperBandScheduler):
    """Records every result before it is acted on, then lets the trial's bracket go on or stop it.

    Rungs are keyed by the run's own trial ids, and brackets are drawn from the sweep's seed and the trial's id: Ray
    draws them from numpy's global generator.

    Args:
        settings: None never stops a trial before its last epoch.
        max_epochs: the highest rung.
    """

    def __init__(self, settings: AshaConfig | None, record: Record, *, max_epochs: int, seed: int) -> None:
        settings = settings or AshaConfig(grace_period=max_epochs)
        super().__init__(
            time_attr="epoch",
            metric=record.metric,
            mode="max",
            max_t=max_epochs,
            grace_period=settings.grace_period,
            reduction_factor=settings.reduction_factor,
            brackets=settings.brackets,
        )
        self._record, self._seed = record, seed

    def decide(self, trial: str, epoch: int, loss: float) -> bool:
        """Whether the trial goes on after this epoch; its loss is put on the rung that it has reached.

        A trial may only be stopped on reaching a rung, by being below the best 1/reduction_factor that reached it.
        """
        bracket = self._brackets[self._bracket_of(trial)]
        name = cast("RayTrial", _Name(trial))
        return bool(bracket.on_result(name, epoch, -loss) == TrialScheduler.CONTINUE)

    def rungs(self) -> list[int]:
        """The epochs at which trials are compared, over all brackets."""
        return sorted({int(milestone) for bracket in self._brackets for milestone, _ in bracket._rungs})

    def on_trial_add(self, tune_controller: Any, trial: RayTrial) -> None:
        """Nothing to keep: a trial's bracket follows from its id."""

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        name = trial.config["trial"]
        if "error" in result:
            self._record.end(name, "failed", result["error"])
            return str(TrialScheduler.STOP)
        metrics = {key.removeprefix("metrics/"): value for key, value in result.items() if key.startswith("metrics/")}
        self._record.report(name, metrics, result["hostname"])
        go_on = self.decide(name, metrics["epoch"], self._record.sign * metrics[self._record.metric])
        if result["finished"]:
            self._record.end(name, "completed")
        elif not go_on:
            self._record.end(name, "stopped")
        return str(TrialScheduler.STOP if self._record.trials[name].is_over else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> None:
        """Nothing to do: the last result was heard when it came."""

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """A trial whose process died: what Ray knows of it is its error."""
        error = trial.get_error()
        self._record.end(
            trial.config["trial"],
            "failed",
            f"{type(error).__name__}: {error}" if error else "the trial's process died",
        )

    def on_trial_remove(self, tune_controller: Any, trial: RayTrial) -> None:
        """Nothing to forget."""

    def _bracket_of(self, trial: str) -> int:
        """Larger brackets are likelier, as in Ray: softmax over their numbers of rungs."""
        sizes = np.array([len(bracket._rungs) for bracket in self._brackets])
        odds = np.exp(sizes - sizes.max())
        return int(np.random.default_rng([self._seed, int(trial)]).choice(len(sizes), p=odds / odds.sum()))
