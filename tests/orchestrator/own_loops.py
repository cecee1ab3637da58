"""Training loops as users bring them to a sweep."""

import os
import signal
from copy import deepcopy
from pathlib import Path
from typing import Any

from trainables.loop import LoopError, LoopTrial


def climb(config: dict[str, Any], trial: LoopTrial) -> None:
    """Climbs by `step` an epoch. Files in `log` tell which epochs of a trial were trained, and that its loop ended.

    With `breaks` the process dies once, in the third epoch, after saving.
    """
    log, saved = Path(config["log"]), trial.load()
    height, start = (saved["height"], saved["epoch"]) if saved else (0.0, 0)
    try:
        for epoch in range(start, trial.epochs):
            height += config["step"]
            with (log / f"{trial.id}-trained").open("a") as file:
                print(epoch + 1, file=file)
            if config.get("breaks") and epoch == 2 and not (log / "broken").exists():
                (log / "broken").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            trial.save({"height": height, "epoch": epoch + 1})
            trial.report(height=height, seed=trial.seed)
    finally:
        (log / f"{trial.id}-ended").touch()


def careless(config: dict[str, Any], trial: LoopTrial) -> None:
    """Tells something else with step 1, raises with step 2, ends after an epoch with step 3."""
    if config["step"] == 2:
        raise RuntimeError("two is bad luck")
    trial.report(**{"hight" if config["step"] == 1 else "height": 1.0})


def raises_after_three(config: dict[str, Any], trial: LoopTrial) -> None:
    _report_three(trial)
    raise KeyError("bad luck")


def exits_after_three(config: dict[str, Any], trial: LoopTrial) -> None:
    _report_three(trial)
    raise SystemExit("no GPU")


def misnames_after_three(config: dict[str, Any], trial: LoopTrial) -> None:
    _report_three(trial)
    trial.report(hight=4.0)


def _report_three(trial: LoopTrial) -> None:
    for height in range(3):
        trial.report(height=height)


KEPT: list[dict[str, Any]] = []


def keeps(config: dict[str, Any], trial: LoopTrial) -> None:
    """Keeps what it is given in KEPT, and changes its own copy of it."""
    KEPT.append(deepcopy(config))
    for value in config.values():
        if isinstance(value, list | dict):
            value.clear()
    trial.report(loss=1.0)


def pops_and_breaks(config: dict[str, Any], trial: LoopTrial) -> None:
    """Takes a part out of its arguments; the first attempt breaks after an epoch that is saved."""
    assert config["optimizer"].pop("name") == "sgd"
    config.clear()
    saved = trial.load()
    trial.save({"epochs": 2.0})
    trial.report(loss=saved["epochs"] if saved else 1.0)
    if not saved:
        raise RuntimeError("the first attempt breaks")


def pops_and_tells(config: dict[str, Any], trial: LoopTrial) -> None:
    """Writes down what each attempt is given, takes it apart, and breaks once after an epoch that is saved."""
    with Path(config["log"], f"{trial.id}-told").open("a") as file:
        print(repr(config), file=file)
    config["optimizer"].pop("name")
    config.clear()
    saved = trial.load()
    trial.save({"epochs": 1})
    trial.report(loss=float(trial.id))
    if not saved:
        raise LoopError(f"the first attempt at trial {trial.id} breaks")  # an error that its process outlives
