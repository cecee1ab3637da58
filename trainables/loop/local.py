"""The in-process twin of a sweep's trial: for a debugger, a notebook, a test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from trainables.loop.trial import LoopTrial, column


class LocalTrial(LoopTrial):
    """Prints what a loop reports; `train(config, LocalTrial(epochs=3))` needs no Ray and no other process.

    Without a folder, `save` and `load` work in memory. In one, a second LocalTrial goes on from what the first saved,
    as a trial that was interrupted does. A report after the last epoch ends the program, silently, as it ends a trial.

    Args:
        metric: the one that the sweep will look at: then each report must have it.
        quiet: prints nothing.
    """

    def __init__(
        self,
        *,
        epochs: int = 27,
        seed: int = 0,
        folder: Path | str | None = None,
        metric: str | None = None,
        quiet: bool = False,
    ) -> None:
        place = None if folder is None else Path(folder)
        super().__init__({"epochs": epochs, "seed": seed}, id="local", folder=place, metric=metric)
        self._quiet = quiet

    @property
    def reports(self) -> list[dict[str, Any]]:
        """A dict an epoch, with the columns of a run's table: `epoch`, the metrics, `seconds`; see `column`."""
        return [{"epoch": one["epoch"], **_columns(one["metrics"]), "seconds": one["seconds"]} for one in self._history]

    def _tell(self, epoch: dict[str, Any]) -> None:
        if not self._quiet:
            figures = ", ".join(f"{name} {value:.6g}" for name, value in _shown(epoch["metrics"]).items())
            print(f"epoch {epoch['epoch']}: {figures} ({epoch['seconds']:.1f} s)")


def _columns(metrics: dict[str, Any]) -> dict[str, Any]:
    return {column(name): value for name, value in metrics.items()}


def _shown(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in metrics.items()}
