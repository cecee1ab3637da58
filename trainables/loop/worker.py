"""A loop of the user's own, driven epoch by epoch: it runs in a thread that waits in `report`."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from threading import Semaphore, Thread
from typing import Any

from trainables.claim import Claim
from trainables.failure import kind_and_text
from trainables.loop.config import LoopConfig, find_loop
from trainables.loop.trial import LoopError, LoopStopped, LoopTrial
from trainables.storage import Place, join
from trainables.worker import TIMED

_PATIENCE_S = 10.0


class LoopWorker:
    """Does for a loop of the user's own what `Worker` does for ours: the same calls, one trial after another."""

    def __init__(self) -> None:
        self._trial: _SteppedTrial | None = None
        self._known = 0

    def begin(
        self,
        config: dict[str, Any],
        folder: str | None,
        known_epochs: int = 0,
        *,
        claim: Mapping[str, str] | None = None,
        trial: str = "",
        metric: str = "",
    ) -> None:
        """Ends the trial before and starts that of `config`, a LoopConfig's values, from the folder's checkpoint.

        known_epochs: how many of its reports are known; they are not told again. claim: of a `Claim`, without which
        nothing is written. trial: its id. metric: what each report must have. Raises LoopError, CheckpointError and
        StoreError.
        """
        self.close(wait=None)
        checked = LoopConfig.model_validate(config)
        place = None if folder is None else join(folder)
        self._trial = _SteppedTrial(checked, id=trial, folder=place, metric=metric or None)
        self._trial.claim = Claim(**claim) if claim else None
        self._known = known_epochs

    def keep_best(self, mode: str) -> None:
        """Keep the best saved state of the trial as well; mode: which values of its metric are better, max or min."""
        if self._trial:
            self._trial.mode = mode

    def epoch(self) -> dict[str, Any]:
        """The figures of the next report that is not known; `finished`; `timing`, as `Worker.epoch` gives it.

        The last epoch is told when the loop has returned. One that returns sooner gives its last epoch once more.
        Raises what the loop raises, after all that it reported before.
        """
        trial = self._trial
        if trial is None:
            raise RuntimeError("call begin() before anything else")
        while not trial.ended and len(trial.history) <= self._known:
            trial.step()
        if trial.error and len(trial.history) <= self._known:
            raise trial.error
        if not trial.history:
            raise LoopError("the loop must call trial.report() at least once, but it returned without")
        self._known = min(self._known + 1, len(trial.history))
        while not trial.ended and self._known >= trial.epochs:
            trial.step()
        finished = trial.ended and not trial.error and self._known >= len(trial.history)
        report = trial.history[self._known - 1] | {"finished": finished, "timing": trial.take_timing()}
        note, trial.note = trial.note, ""
        return {**report, "note": note} if note else report

    def close(self, wait: float | None = _PATIENCE_S) -> None:
        """Unwinds a loop that waits in `report`, and gives it so many seconds for that; None is no limit."""
        if self._trial:
            self._trial.stop(wait)
        self._trial = None


class _SteppedTrial(LoopTrial):
    """A trial whose loop goes on only when told to: loop and worker take turns, never run side by side."""

    def __init__(self, config: LoopConfig, *, id: str, folder: Place | None, metric: str | None) -> None:
        super().__init__(config.model_dump(), id=id, folder=folder, metric=metric)
        self.ended = False
        self._loop = find_loop(config.loop)
        self._go, self._back = Semaphore(0), Semaphore(0)
        self.error: BaseException | None = None
        # As a daemon: a loop that does not unwind must not keep the process.
        self._thread = Thread(target=self._run, name="loop", daemon=True)

    @property
    def history(self) -> list[dict[str, Any]]:
        return self._history

    def step(self) -> None:
        """Lets the loop go on until it reports, returns or raises."""
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        self._back.acquire()

    def stop(self, wait: float | None) -> None:
        """Ends a loop that waits in `report` by an exception there."""
        self._over = True
        if self._thread.is_alive():
            self._go.release()
            self._thread.join(wait)

    def take_timing(self) -> dict[str, float]:
        """Seconds since this was last asked, for each of TIMED."""
        spent = {"train": self._training_s, "checkpoint": self._saving_s}
        self._training_s = self._saving_s = 0.0
        return dict.fromkeys(TIMED, 0.0) | spent

    def _tell(self, epoch: dict[str, Any]) -> None:
        self._back.release()
        self._go.acquire()
        if self._over:
            raise LoopStopped

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._loop(deepcopy(self._config["arguments"]), self)  # which may change them; the checkpoint has ours
            self._write()
        except LoopStopped:
            pass
        except Exception as error:
            self.error = error
        except BaseException as error:
            self.error = LoopError(f"the loop must return, but it ended with {kind_and_text(error)}")
            self.error.__cause__ = error
        finally:
            self.ended = True
            self._back.release()
