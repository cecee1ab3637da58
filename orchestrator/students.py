"""Students as trials of a run of their own, inside the folder of the run that their parents are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from orchestrator.pareto import Point, ranks
from orchestrator.record import Record, Trial
from orchestrator.run_folder import STUDENTS
from orchestrator.search import sweep_searcher
from orchestrator.searchers import Observation, Searcher
from orchestrator.searchers.base import key, known_keys
from orchestrator.searchers.front import TowardsFront
from orchestrator.sections import SearchConfig
from orchestrator.stage import StageConfig, is_control
from orchestrator.sweep import Sweep, make_sweep
from search_spaces import Choice, Config, Constant, Space
from trainables.compress import StudentTask
from trainables.storage import Place, absolute, join

Item = TypeVar("Item")

_DEFAULT_SEARCH = {False: SearchConfig(name="grid"), True: SearchConfig(name="bayes", trials=16)}
"""Of a grid of sizes, and of a space."""


def student_sweep(sweep: Sweep, stage: StageConfig, parents: Sequence[str], folder: Place) -> Sweep:
    """The search for the students of those trials, best first, of the run in `folder`.

    Raises SweepError where the stage asks for what no student can be.
    """
    own = sweep.metric.startswith("val_")
    values: dict[str, Any] = {
        "name": stage.name,
        "seed": sweep.seed,
        "storage": str(join(folder, STUDENTS)),
        "space": _space(stage, parents),
        "search": _search(stage, parents),
        "asha": stage.asha,
        "metric": sweep.metric if own else "val_loss",
        "mode": sweep.mode if own else "min",
        "workers": sweep.workers,
        "concurrent": sweep.concurrent,
        "limits": stage.limits,
        "faults": sweep.faults,
        "keep_checkpoints": 10**6,  # models are made of them
        "train": {
            "student": stage.student.model_dump(),
            "run": str(absolute(folder)),
            "parents": list(parents),
            "against": stage.against,
        },
    }
    return make_sweep(values, "compress.")


def student_searcher(sweep: Sweep, stage: StageConfig, at_limit: Callable[[], bool] = lambda: False) -> Searcher:
    """Who proposes students: the stage's search until it is over or at its limit, then the controls of the chosen."""
    searcher = sweep_searcher(sweep)
    if sweep.search.name != "grid":
        searcher = TowardsFront(searcher, sweep.seed)

    def wants_control(config: Config) -> bool:
        return StudentTask.of(sweep.train, config).student.has_teacher

    def may_search(known: int) -> bool:
        return not at_limit() and (sweep.search.trials is None or known < sweep.search.trials)

    return _ControlsLast(searcher, may_search, stage, wants_control)


def chosen(record: Record, stage: StageConfig) -> list[Trial]:
    """The students that models are made of, those first that are beaten by fewest, then by their loss."""
    done = [trial for trial in record.trials.values() if trial.status == "completed" and not is_control(trial.config)]
    return _front_first(done, [(trial.loss, trial.epochs[-1].cost["share"]) for trial in done])[: stage.models]


def control_of(record: Record, student: Trial) -> Trial | None:
    """The student's control, if it came to its end."""
    wanted = key(_control(student.config))
    return next((t for t in record.trials.values() if key(t.config) == wanted and t.status == "completed"), None)


class _ControlsLast:
    """What `searcher` proposes while there may be more than the students known; when all are over, the controls."""

    def __init__(
        self,
        searcher: Searcher,
        may_search: Callable[[int], bool],
        stage: StageConfig,
        wants_control: Callable[[Config], bool],
    ) -> None:
        self._searcher, self._may_search, self._stage, self._wants_control = searcher, may_search, stage, wants_control

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The next student, or the next control; None where there is none, or has to wait for students under way."""
        students = [shown for shown in done if not is_control(shown.config)]
        running = [config for config in pending if not is_control(config)]
        if self._may_search(len(known_keys(students, running))):
            config = self._searcher.suggest(students, running)
            if config is not None:
                return config
        if running:
            return None
        known = known_keys(done, pending)
        wanted = (_control(shown.config) for shown in self._chosen(students) if self._wants_control(shown.config))
        return next((config for config in wanted if key(config) not in known), None)

    def _chosen(self, students: Sequence[Observation]) -> list[Observation]:
        done = [shown for shown in students if shown.complete and not shown.failed]
        return _front_first(done, [(shown.loss, shown.share) for shown in done])[: self._stage.models]


def _front_first(items: Sequence[Item], points: Sequence[Point]) -> list[Item]:
    order = sorted(zip(ranks(points), points, range(len(items)), strict=True))
    return [items[index] for *_, index in order]


def _control(config: Config) -> Config:
    return {**config, "control": True}


def _search(stage: StageConfig, parents: Sequence[str]) -> SearchConfig:
    """The stage's search, or the usual one. What it starts with is of the best parent unless it names another."""
    search = stage.search or _DEFAULT_SEARCH[stage.space is not None]
    return search.model_copy(update={"start": [{"parent": parents[0], **config} for config in search.start]})


def _space(stage: StageConfig, parents: Sequence[str]) -> Space:
    """A student's parent and whatever varies of it."""
    parent = Constant(parents[0]) if len(parents) == 1 else Choice(parents)
    if stage.space is not None:
        return Space({"parent": parent, **stage.space.parameters}, stage.space.constraints)
    sizes = {"keep_macs": Choice(stage.keep_macs)} if stage.keep_macs else {}
    return Space({"parent": parent, **sizes})
