"""Run folders whose journals are made with the project's own Record, Journal and ASHA, on a clock of their own."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from orchestrator.journal import Journal
from orchestrator.record import Record
from orchestrator.scheduling import Asha
from orchestrator.searchers import GridSearcher
from orchestrator.sweep import Sweep, make_sweep
from tests.orchestrator.folders import make_folder

PHASES = ("data", "build", "train", "evaluate", "checkpoint")


def random_sweep(rng: random.Random, folder: Path, **changes: Any) -> Sweep:
    """A sweep of one's own loop over 48 configurations, some with epochs of their own, with some limits or none."""
    epochs = {"epochs": {"grid": [3, 9]}} if rng.random() < 0.5 else {}
    limits = {
        "epochs": rng.choice([None, None, 20, 40]),
        "minutes": rng.choice([None, None, 0.5, 2.0]),
        "target": rng.choice([None, None, 0.1, 0.9]),
        "patience": rng.choice([None, None, 3, 8]),
    }
    values = {
        "name": "crafted",
        "storage": str(folder),
        "seed": rng.randrange(100),
        "space": {"parameters": {"x": {"grid": list(range(24))}, "kind": {"choice": ["a", "b"]}, **epochs}},
        "search": {"name": "random", "trials": rng.choice([6, 20]), "repeats": rng.choice([1, 1, 3])},
        "asha": {"grace_period": 1, "reduction_factor": 3} if rng.random() < 0.8 else None,
        "metric": rng.choice(["loss", "score"]),
        "mode": rng.choice(["min", "max"]),
        "limits": limits,
        "faults": {"retries": rng.choice([0, 1]), "give_up": 4},
        "train": {"loop": "nowhere:train", "epochs": 9},
    }
    return make_sweep({**values, **changes})


class Craft:
    """Writes a run, event by event: trials on `slots` workers, whose epochs, failures and ends fall as chance has it.

    The clock goes on by whole milliseconds, and what epochs and proposals report to have taken fits into what passed.
    """

    def __init__(self, sweep: Sweep, rng: random.Random, *, fails: float = 0.1) -> None:
        self.sweep, self._rng, self._fails = sweep, rng, fails
        self.now = 1_700_000_000.0 + rng.randrange(10**6) / 1000
        make_folder(sweep)

    def session(self, steps: int, *, stops: bool) -> Record:
        """A session of so many steps; unless it `stops` in order, its driver is gone without a word."""
        self.now += self._rng.randrange(1, 10**7) / 1000
        journal = Journal(Path(self.sweep.folder) / "journal")
        self._slots = self._rng.randrange(1, 5)
        self._record = Record(self.sweep.metric, self.sweep.sign, journal, clock=lambda: self.now)
        events = list(journal.read())
        self._record.replay(events)
        self._record.begin_session(self._slots)
        self._asha = Asha(self.sweep, self._record)
        self._asha.replay(events)
        self._under_way: dict[str, float] = {}
        for _ in range(steps):
            if not self._step():
                break
        if stops:
            self._pass(2)
            self._record.end_session("SIGINT", searching=True)
        journal.close()
        return self._record

    def models(self, count: int) -> None:
        """A session that makes so many models, each after a while."""
        journal = Journal(Path(self.sweep.folder) / "journal")
        record = Record(self.sweep.metric, self.sweep.sign, journal, clock=lambda: self.now)
        record.replay(list(journal.read()))
        record.begin_session(1)
        for number in range(count):
            self._pass(100)
            record.add_model({"id": f"m{number}", "status": "ok"})
            record.add_model({"id": f"m{number}", "bytes": number})
        self._pass(10)
        record.end_session("", searching=False)
        journal.close()

    def _pass(self, most: float) -> float:
        passed = self._rng.randrange(1, round(1000 * most)) / 1000
        self.now = round(self.now + passed, 3)
        return passed

    def _step(self) -> bool:
        self._under_way = {name: since for name, since in self._under_way.items() if name in self._record.open}
        actions = [self._report] * len(self._under_way)
        self._asha.look_at_limits()
        if len(self._under_way) < self._slots and not self._record.limit:
            actions.append(self._hand_out)
        return bool(actions) and self._rng.choice(actions)()

    def _hand_out(self) -> bool:
        waiting = [name for name in self._record.open if name not in self._under_way]
        name = waiting[0] if waiting else self._proposed()
        if not name:
            return bool(self._under_way)
        self._under_way[name] = self.now
        if self._rng.random() < 0.9:  # else its driver is gone before it has a process, or that never comes
            self._pass(5)
            self._record.start(name)
            self._under_way[name] = self.now
        return True

    def _proposed(self) -> str:
        passed = self._pass(0.2)
        if len(self._record.trials) >= self.sweep.search.trials:
            return ""
        if again := self._record.to_repeat(self.sweep.search.repeats):
            return self._record.propose(again.config, repeat=again.repeat + 1).id
        config = GridSearcher(self.sweep.space).suggest(self._record.observations(), self._record.pending())
        return self._record.propose(config, seconds=self._rng.random() * passed).id if config else ""

    def _report(self) -> bool:
        name = self._rng.choice(list(self._under_way))
        passed = self._pass(20)
        if self._rng.random() < self._fails:
            self._asha.hear(name, {"error": "bad luck"})
            self._under_way.pop(name)
            return True
        trial = self._record.trials[name]
        number = len(trial.epochs) + 1
        last = number >= self.sweep.epochs_of(trial.config) or self._rng.random() < 0.03
        value = math.floor(1000 * self._rng.random() ** (1 + number / 4)) / 1000
        parts = [self._rng.random() for _ in PHASES]
        scale = 0.9 * passed / sum(parts)
        report = {
            "epoch": number,
            "metrics": {self.sweep.metric: value},
            "seconds": 0.5 * passed,
            "timing": {phase: scale * part for phase, part in zip(PHASES, parts, strict=True)},
            "node": "here",
            "finished": last,
        }
        self._asha.hear(name, report)
        self._under_way[name] = self.now
        return True


def random_run(seed: int, folder: Path, **changes: Any) -> Sweep:
    """The sweep of a run that was written as the seed has it, in one session or several."""
    rng = random.Random(seed)
    craft = Craft(random_sweep(rng, folder, **changes), rng)
    for _ in range(rng.randrange(1, 4)):
        craft.session(rng.randrange(120), stops=rng.random() < 0.5)
    if rng.random() < 0.4:
        craft.models(rng.randrange(1, 4))
    if rng.random() < 0.2:
        craft.session(rng.randrange(40), stops=True)
    return craft.sweep
