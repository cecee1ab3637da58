"""The search as `halving` runs it. The parent process reads what came of it from the run's folder."""

from __future__ import annotations

import sys

from benchmarks.fashion.task import CONCURRENT, METRIC, REDUCTION, SPACE, Task
from orchestrator import AshaConfig, SearchConfig, Sweep, run
from orchestrator.sweep import LimitConfig

NAME = "ours"


def main(task: Task) -> None:
    sweep = Sweep(
        name=NAME,
        seed=task.seed,
        storage=task.folder,
        space=SPACE,
        search=SearchConfig(name="bayes", trials=task.trials),
        asha=AshaConfig(grace_period=1, reduction_factor=REDUCTION),
        metric=METRIC,
        mode="max",
        concurrent=CONCURRENT,
        limits=LimitConfig(minutes=task.minutes),
        train=task.train,
    )
    run(sweep, quiet=True)


if __name__ == "__main__":
    main(Task.from_json(sys.argv[1]))
