"""One search: a contender proposes, the task answers."""

from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.search.tasks import Task
from search_spaces import Config


class Contender(Protocol):
    """A searcher as the benchmarks drive it. Trials are numbered from 0 in the order in which they are added."""

    def ask(self) -> Config:
        """A proposal, which is pending from now on."""
        ...

    def add(self, config: Config) -> None:
        """Take `config` as if it had been proposed."""
        ...

    def tell(self, number: int, loss: float) -> None:
        """A pending trial ends."""
        ...


class Trial(NamedTuple):
    """A pending one."""

    number: int
    config: Config


def play(task: Task, contender: Contender, *, evaluations: int, at_once: int, seed: int) -> list[float]:
    """The normalised regret of the best so far after each evaluation, to 5 digits, as it is kept: equals must tie.

    With each proposal `at_once` trials are pending. Which of them ends next is drawn by `seed`, the same for every
    contender.
    """
    rng = np.random.default_rng(seed)
    pending: list[Trial] = []
    regrets: list[float] = []
    asked, best = 0, np.inf
    while len(regrets) < evaluations:
        while len(pending) < at_once and asked < evaluations:
            pending.append(Trial(asked, contender.ask()))
            asked += 1
        ended = pending.pop(int(rng.integers(len(pending))))
        loss = task.evaluate(ended.config)
        contender.tell(ended.number, loss)
        best = min(best, loss)
        regrets.append(float(f"{task.regret(best):.5g}"))
    return regrets
