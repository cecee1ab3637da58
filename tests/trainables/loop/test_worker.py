"""A loop of the user's own, epoch by epoch, as a trial's process drives it."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trainables.checkpoint import load_checkpoint
from trainables.loop import LoopConfig, LoopError, LoopWorker
from trainables.worker import TIMED


@pytest.fixture
def loops(own_modules: None) -> ModuleType:
    module = importlib.import_module("own_loops")
    module.SEEN.clear()
    return module


def begun(loop: str, folder: Path | None = None, known: int = 0, **config: Any) -> LoopWorker:
    worker = LoopWorker()
    values = LoopConfig(loop=f"own_loops:{loop}", **{"epochs": 4, **config}).model_dump()
    worker.begin(values, str(folder) if folder else None, known, trial="0001", metric="loss")
    return worker


def told(worker: LoopWorker) -> list[tuple[int, float, bool]]:
    """Number, loss and whether it is the last, of every epoch that is left."""
    epochs = [worker.epoch()]
    while not epochs[-1]["finished"]:
        epochs.append(worker.epoch())
    return [(epoch["epoch"], epoch["metrics"]["loss"], epoch["finished"]) for epoch in epochs]


def test_a_loop_trains_no_epoch_before_it_is_asked_for(loops: ModuleType) -> None:
    worker = begun("descend", arguments={"lr": 0.25})
    assert loops.SEEN == []
    first = worker.epoch()
    assert set(first["timing"]) == set(TIMED)
    assert first["timing"]["train"] == first["seconds"] > 0
    assert loops.SEEN == [("begins", 0)]
    assert told(worker) == [(2, 4.0, False), (3, 1.0, False), (4, 0.25, True)]
    assert loops.SEEN[1:] == ["returns", "ends"]


def test_the_last_epoch_ends_a_loop_that_would_go_on(loops: ModuleType) -> None:
    assert told(begun("forgetful", epochs=3))[-1] == (3, pytest.approx(1 / 3), True)
    assert loops.SEEN == [0, 1, 2, 3]


def test_a_loop_that_returns_sooner_gives_its_last_epoch_once_more(loops: ModuleType) -> None:
    assert told(begun("short")) == [(1, 3.0, False), (2, 2.0, False), (2, 2.0, True)]


def test_an_interrupted_loop_goes_on_and_tells_nothing_twice(loops: ModuleType, tmp_path: Path) -> None:
    config = {"arguments": {"lr": 0.25}}
    whole = told(begun("descend", **config))
    worker = begun("descend", tmp_path, **config)
    worker.epoch()
    worker.epoch()
    worker.close()
    loops.SEEN.clear()
    assert told(begun("descend", tmp_path, known=2, **config)) == whole[2:]
    assert loops.SEEN[0] == ("begins", 2)


def test_reports_that_were_lost_are_told_again_without_training(loops: ModuleType, tmp_path: Path) -> None:
    config = {"arguments": {"lr": 0.25}}
    whole = told(begun("descend", tmp_path, **config))
    loops.SEEN.clear()
    assert told(begun("descend", tmp_path, known=1, **config)) == whole[1:]
    assert loops.SEEN == [("begins", 4), "returns", "ends"]
    assert told(begun("descend", tmp_path, known=4, **config)) == whole[3:]


def test_without_a_checkpoint_known_epochs_are_trained_again_in_silence(loops: ModuleType) -> None:
    assert [epoch for epoch, _, _ in told(begun("forgetful", known=2, epochs=3))] == [3]


def test_the_next_trial_unwinds_the_loop_before(loops: ModuleType) -> None:
    worker = begun("descend", arguments={"lr": 0.25})
    worker.epoch()
    worker.begin(LoopConfig(loop="own_loops:short").model_dump(), None)
    assert loops.SEEN == [("begins", 0), "ends"]
    assert worker.epoch()["metrics"]["loss"] == 3.0


def test_a_loop_that_catches_exceptions_is_stopped_all_the_same(loops: ModuleType) -> None:
    worker = begun("stubborn", epochs=2)
    assert [epoch for epoch, _, _ in told(worker)] == [1, 2]
    worker.close()
    assert loops.SEEN == []


def test_what_a_loop_raises_is_raised(loops: ModuleType) -> None:
    worker = begun("raises")
    worker.epoch()
    with pytest.raises(KeyError, match="bad luck"):
        worker.epoch()


@pytest.mark.parametrize(("mode", "best"), [("min", 2), ("max", 1), ("", None)])
def test_the_state_of_the_best_report_is_kept_too(
    loops: ModuleType, tmp_path: Path, mode: str, best: int | None
) -> None:
    for epochs in (2, 4):  # interrupted once
        worker = begun("wavers", tmp_path, known=0, epochs=epochs)
        worker.keep_best(mode)
        told(worker)
    assert load_checkpoint(tmp_path / "last.pt")["state"] == {"epoch": 4}
    if best is None:
        assert not (tmp_path / "best.pt").exists()
    else:
        assert load_checkpoint(tmp_path / "best.pt")["state"] == {"epoch": best}


def test_what_was_reported_before_an_error_is_told_first(loops: ModuleType) -> None:
    worker = begun("raises_at_last", epochs=3)
    assert [worker.epoch()["epoch"] for _ in range(3)] == [1, 2, 3]
    for _ in range(2):
        with pytest.raises(KeyError, match="bad luck"):
            worker.epoch()


def test_a_loop_that_exits_with_words_fails_with_them(loops: ModuleType) -> None:
    worker = begun("leaves_with_words")
    assert worker.epoch()["finished"] is False
    with pytest.raises(LoopError, match="it ended with SystemExit: no GPU"):
        worker.epoch()


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        ("silent", r"the loop must call trial\.report\(\) at least once, but it returned without"),
        ("leaves", "the loop must return, but it ended with SystemExit: 3"),
        ("nameless", "must be given the metric loss, but got los"),
    ],
)
def test_a_loop_that_breaks_a_rule_fails(loops: ModuleType, loop: str, message: str) -> None:
    with pytest.raises(LoopError, match=message):
        begun(loop).epoch()


def test_a_trials_values_are_laid_over_the_arguments() -> None:
    base = {"loop": "a:b", "arguments": {"lr": 1.0, "depth": 2}, "epochs": 9}
    config = LoopConfig.of(base, {"lr": 0.1, "epochs": 3, "net.width": 8})
    assert config.arguments == {"lr": 0.1, "depth": 2, "epochs": 3, "net.width": 8}
    assert (config.epochs, config.seed) == (3, 0)
