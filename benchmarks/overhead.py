"""What a trial costs besides its training: ours beside Ray Tune and Optuna, all in one run.

Every contender runs the same sweep in a fresh process: random learning rates, the same trial with a report an epoch,
on as many cores. A trial trains next to nothing: an epoch is one step of a perceptron of 2 units on 18 images of digits
and an evaluation on 18 more. Ours takes the whole real path, with journal, scheduler and checkpoints; the others train
with the same `Trainer` and save nothing. A contender called "empty" does not even train, nor import torch.

Times are from the start of the process to its end, and without start-up: from the first report of all to the last
trial's end. For growth, one long sweep of ours: its driver's memory after a collection, and the time per trial.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# By import, so that what Ray and joblib send to their processes is found there by its name.
_CHILD = "import sys; from benchmarks.overhead import run_task; run_task(*sys.argv[1:])"

TRAIN: dict[str, Any] = {
    "data": {"validation": 0.01, "test": 0.98},
    "model": {"name": "mlp", "width": 2, "depth": 1},
    "augment": {"shift": 0},
}
LOW, HIGH = 1e-3, 0.3
SETTLED = 100
"""Trials of the long sweep after which memory and speed are compared with the end."""


class Case(NamedTuple):
    """One contender's task; `folder` is its own."""

    trials: int
    reports: int
    cores: int
    folder: str


Times = dict[str, float]

_FIRST = 8
"""Optuna keeps no time of a report: so many trials note that of their first."""


def halving(case: Case, workers: int = 1) -> Times:
    """Ours, through `run`, as a user would."""
    from orchestrator import run
    from orchestrator.cluster import connected
    from orchestrator.journal import Journal

    sweep = _sweep(case, workers)
    with connected(cpus=case.cores):
        trials = run(sweep, quiet=True).trials()
    _expect_all(case, list(trials["status"]), "completed")
    events = Journal(Path(sweep.folder, "journal")).read()
    first = next(event["time"] for event in events if event["event"] == "epoch")
    return {"trials": trials["ended"].max().timestamp() - first}


def halving_ddp(case: Case) -> Times:
    """Two workers a trial, whose group stays from trial to trial."""
    return halving(case, workers=2)


def long_sweep(case: Case) -> Times:
    """One long sweep: how its driver's memory and its pace change."""
    from orchestrator import run
    from orchestrator.cluster import connected

    sweep = _sweep(case, workers=1)
    watch = _Watch(Path(sweep.folder, "journal"), case.trials)
    with connected(cpus=case.cores):
        watch.start()
        trials = run(sweep, quiet=True).trials()
    watch.join()
    ended = sorted(trials["ended"].dropna())
    _expect_all(case, list(trials["status"]), "completed")
    span = min(200, (case.trials - SETTLED) // 2)
    pace = [(ended[at + span] - ended[at]).total_seconds() / span for at in (SETTLED - 1, case.trials - span - 1)]
    return {"start": pace[0], "end": pace[1], "growth": watch.last - watch.first}


class _Watch(threading.Thread):
    """Takes this process's memory, in MB, when `SETTLED` trials have ended and when all have."""

    def __init__(self, journal: Path, trials: int) -> None:
        super().__init__(daemon=True)
        self._journal, self._trials, self.first, self.last = journal, trials, float("nan"), float("nan")

    def run(self) -> None:
        for goal in (SETTLED, self._trials):
            while self._ended() < goal:
                time.sleep(0.5)
            gc.collect()
            self.first, self.last = (_memory(), self.last) if goal == SETTLED else (self.first, _memory())

    def _ended(self) -> int:
        return sum(path.read_bytes().count(b'"event":"end"') for path in self._journal.glob("*.jsonl"))


def ray_default(case: Case) -> Times:
    """Ray Tune's function API as it comes: a process a trial."""
    return _tune(case, _function)


def ray_reuse_function(case: Case) -> Times:
    """The function API with reuse_actors: the process stays."""
    return _tune(case, _function, reuse_actors=True)


def ray_reuse_class(case: Case) -> Times:
    """The class API with reuse_actors and reset_config."""
    return _tune(case, _steps_class(), reuse_actors=True)


def ray_reuse_empty(case: Case) -> Times:
    """The function API with reuse_actors, and trials that report a number and do nothing else."""
    return _tune(case, _empty_function, reuse_actors=True)


def ray_ddp(case: Case) -> Times:
    """Ray Tune's function API; every trial starts two workers in its placement group and joins them."""
    from ray import tune

    resources = tune.PlacementGroupFactory([{}, {"CPU": 1}, {"CPU": 1}])
    return _tune(case, tune.with_resources(_ddp_function, resources))


def optuna_joblib(case: Case) -> Times:
    """Optuna in joblib's processes, which share a journal file."""
    import optuna
    from joblib import Parallel, delayed

    path = str(Path(case.folder) / "optuna.log")
    study = optuna.create_study(storage=_optuna_storage(path), study_name="overhead")
    shares = [case.trials // case.cores + (rank < case.trials % case.cores) for rank in range(case.cores)]
    Parallel(n_jobs=case.cores)(delayed(_optuna_worker)(path, share, case.reports) for share in shares)
    trials = study.trials
    _expect_all(case, [trial.state.name for trial in trials], "COMPLETE")
    reported = [trial.user_attrs["reported"] for trial in trials if "reported" in trial.user_attrs]
    ended = [trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete]
    return {"trials": max(ended) - min(reported)}


CONTENDERS: dict[str, Callable[[Case], Times]] = {
    "halving": halving,
    "ray default": ray_default,
    "ray reuse function": ray_reuse_function,
    "ray reuse class": ray_reuse_class,
    "ray reuse empty": ray_reuse_empty,
    "optuna joblib": optuna_joblib,
    "halving ddp": halving_ddp,
    "ray ddp": ray_ddp,
}


def _sweep(case: Case, workers: int) -> Any:
    from orchestrator.sweep import make_sweep

    return make_sweep(
        {
            "name": "overhead",
            "storage": case.folder,
            "space": {"parameters": {"optimizer.lr": {"log_uniform": [LOW, HIGH]}}},
            "search": {"name": "random", "trials": case.trials},
            "asha": None,
            "workers": {"count": workers},
            "train": {**TRAIN, "epochs": case.reports},
        }
    )


def _epochs(lr: float, reports: int, group: Any = None) -> Iterator[dict[str, Any]]:
    """The trial of all contenders but ours, which does the same by itself."""
    from trainables import Trainer
    from trainables.parallel import SOLO

    config = _train_config(lr, reports)
    for metrics in Trainer(config, _data(reports), group=group or SOLO).epochs():
        yield asdict(metrics)


def _train_config(lr: float, reports: int) -> Any:
    from trainables import TrainConfig

    return TrainConfig.of({**TRAIN, "epochs": reports}, {"optimizer.lr": lr})


@lru_cache
def _data(reports: int) -> Any:
    from trainables import load_data

    return load_data(_train_config(LOW, reports).data)


def _function(config: dict[str, Any]) -> None:
    from ray import tune

    for metrics in _epochs(config["lr"], config["reports"]):
        tune.report(metrics)


def _empty_function(config: dict[str, Any]) -> None:
    from ray import tune

    for epoch in range(config["reports"]):
        tune.report({"val_loss": config["lr"] / (epoch + 1)})


def _ddp_function(config: dict[str, Any]) -> None:
    import ray
    from ray import tune
    from ray.util.placement_group import get_current_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    from trainables.parallel import free_address

    group: Any = get_current_placement_group()
    address = free_address()
    actor: Any = ray.remote(num_cpus=1)(_Rank)
    ranks = [
        actor.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank)).remote(
            rank, address, config["lr"], config["reports"]
        )
        for rank in range(2)
    ]
    for _ in range(config["reports"]):
        tune.report(ray.get([rank.epoch.remote() for rank in ranks])[0])


class _Rank:
    """One of two workers of a trial."""

    def __init__(self, rank: int, address: str, lr: float, reports: int) -> None:
        from trainables.parallel import join_group

        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        self._epochs = _epochs(lr, reports, join_group(rank, 2, address))

    def epoch(self) -> dict[str, Any]:
        return next(self._epochs)


def _steps_class() -> Any:
    from ray import tune

    class Steps(tune.Trainable):
        """A report a step; the process goes on to the next trial by reset_config."""

        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._left = new_config["reports"]
            self._epochs = _epochs(new_config["lr"], new_config["reports"])
            return True

        def step(self) -> dict[str, Any]:
            self._left -= 1
            return {**next(self._epochs), "done": self._left <= 0}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Nothing is saved; Ray saves every class at its end and wants the method."""

    return Steps


def _tune(case: Case, trainable: Any, **settings: Any) -> Times:
    import ray
    from ray import tune

    ray.init(num_cpus=case.cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    span = _span()
    results = tune.Tuner(
        trainable,
        param_space={"lr": tune.loguniform(LOW, HIGH), "reports": case.reports},
        tune_config=tune.TuneConfig(num_samples=case.trials, metric="val_loss", mode="min", **settings),
        run_config=tune.RunConfig(verbose=0, storage_path=case.folder, callbacks=[span]),
    ).fit()
    _expect_all(case, ["failed" if results[index].error else "done" for index in range(len(results))], "done")
    ray.shutdown()
    return {"trials": span.last - span.first}


def _span() -> Any:
    from ray import tune

    class Span(tune.Callback):
        """When the first report came and the last trial ended, at the driver."""

        first = last = float("nan")

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            if self.first != self.first:
                self.first = time.time()

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self.last = time.time()

    return Span()


def _optuna_storage(path: str) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.storages.JournalStorage(JournalFileBackend(path))


def _optuna_worker(path: str, trials: int, reports: int) -> None:
    import optuna

    def objective(trial: Any) -> float:
        value = float("nan")
        for metrics in _epochs(trial.suggest_float("lr", LOW, HIGH, log=True), reports):
            value = metrics["val_loss"]
            trial.report(value, metrics["epoch"])
            if trial.number < _FIRST and metrics["epoch"] == 1:
                trial.set_user_attr("reported", time.time())
        return value

    study = optuna.load_study(
        storage=_optuna_storage(path), study_name="overhead", sampler=optuna.samplers.RandomSampler()
    )
    study.optimize(objective, n_trials=trials)


def _expect_all(case: Case, states: list[str], wanted: str) -> None:
    if states != [wanted] * case.trials:
        raise RuntimeError(f"{case.trials} trials must end as {wanted!r}, but got {states}")


def _memory() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(task: str, case: Case) -> Times:
    """Runs a task in a process of its own; its times, and in "all" the seconds from that process's start to its end."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    print(f"{task}: {case.trials} trials of {case.reports} reports …", end=" ", file=sys.stderr, flush=True)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, task, json.dumps(case._asdict())],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    print(f"{seconds:.1f} s", file=sys.stderr, flush=True)
    if done.returncode:
        raise SystemExit(f"{task} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    times: Times = json.loads(done.stdout.splitlines()[-1])
    return {"all": seconds, **times}


class Round(NamedTuple):
    """How often, how long and what of it."""

    trials: int
    reports: int
    cores: int
    long: int
    repeats: int


def run_task(name: str, text: str) -> None:
    """The part of the child process: its last line is what it found."""
    case = Case(**json.loads(text))
    print(json.dumps(long_sweep(case) if name == "long" else CONTENDERS[name](case)))


def measure_all(names: list[str], size: Round) -> dict[str, Times]:
    """The median times of each; repeats go round all of them in turn, so that a slow moment hits all."""
    found: dict[str, list[Times]] = {name: [] for name in names}
    for _ in range(size.repeats):
        for name in names:
            with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
                trials = size.long if name == "long" else size.trials
                found[name].append(measure(name, Case(trials, size.reports, size.cores, folder)))
    return {name: {key: statistics.median(t[key] for t in times) for key in times[0]} for name, times in found.items()}


_LIMITS = {
    ("halving", "ray default"): 0.1,
    ("halving", "ray reuse function"): 0.5,
    ("halving", "ray reuse class"): 0.5,
    ("halving", "ray reuse empty"): None,
    ("halving", "optuna joblib"): None,
    ("halving ddp", "ray ddp"): 0.2,
}
"""What ours may be of theirs; None is for context."""


def figures(times: dict[str, Times]) -> list[Any]:
    """The times, then ours as a fraction of theirs, then growth."""
    from benchmarks.common import Figure

    compared = {name: value for name, value in times.items() if name != "long"}
    rows = [Figure(name=name, value=value["all"], unit="s") for name, value in compared.items()]
    rows += [Figure(name=f"{name}, no start-up", value=value["trials"], unit="s") for name, value in compared.items()]
    for (ours, theirs), limit in _LIMITS.items():
        if ours in times and theirs in times:
            for key, suffix in (("all", ""), ("trials", ", no start-up")):
                ratio = times[ours][key] / times[theirs][key]
                rows.append(Figure(name=f"{ours} / {theirs}{suffix}", value=ratio, at_most=limit))
    if "long" in times:
        long = times["long"]
        rows += [
            Figure(name="driver memory, growth", value=long["growth"], unit="MB", at_most=100),
            Figure(name="a trial at the start", value=1000 * long["start"], unit="ms"),
            Figure(name="a trial at the end", value=1000 * long["end"], unit="ms"),
            Figure(name="a trial at the end / at the start", value=long["end"] / long["start"], at_most=1.2),
        ]
    return rows


def main() -> None:
    """Exits with 1 if a figure is not as wanted."""
    from benchmarks.common import make_parser, report

    parser: argparse.ArgumentParser = make_parser((__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=64, help="of each contender (default: 64)")
    parser.add_argument("--reports", type=int, default=10, help="of each trial (default: 10)")
    parser.add_argument("--cores", type=int, default=2, help="given to each contender (default: 2)")
    parser.add_argument("--long", type=int, default=2000, help="trials of the long sweep (default: 2000)")
    parser.add_argument("--repeats", type=int, default=1, help="median of so many (default: 1)")
    names = [*CONTENDERS, "long"]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    if options.long < 2 * SETTLED:
        parser.error(f"--long must be at least {2 * SETTLED}, but got {options.long}")
    size = Round(options.trials, options.reports, options.cores, options.long, options.repeats)
    raise SystemExit(not report(figures(measure_all(options.only, size)), options.json))


if __name__ == "__main__":
    main()
