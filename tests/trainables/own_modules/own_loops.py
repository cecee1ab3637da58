"""Training loops as users write them; each keeps what it saw in a list, for the tests to look at."""

from collections.abc import Iterator
from typing import Any

import torch

from trainables.loop import LoopTrial

SEEN: list[Any] = []


def descend(config: dict[str, Any], trial: LoopTrial) -> None:
    """Gradient descent on a parabola; it saves before each report, and goes on from what was saved."""
    at, start = torch.tensor(8.0), 0
    saved = trial.load()
    if saved is not None:
        at, start = saved["at"], saved["epoch"]
    SEEN.append(("begins", start))
    try:
        for epoch in range(start, trial.epochs):
            at = at - config["lr"] * 2 * at
            trial.save({"at": at, "epoch": epoch + 1})
            trial.report(loss=at**2, at=float(at))
        SEEN.append("returns")
    finally:
        SEEN.append("ends")


def forgetful(config: dict[str, Any], trial: LoopTrial) -> None:
    """Saves nothing and asks for nothing; it reports more often than is wanted of it."""
    for epoch in range(100):
        SEEN.append(epoch)
        trial.report(loss=1 / (epoch + 1))


def short(config: dict[str, Any], trial: LoopTrial) -> None:
    """Knows by itself when it has had enough."""
    for loss in config.get("losses", (3.0, 2.0)):
        trial.report(loss=loss)


def silent(config: dict[str, Any], trial: LoopTrial) -> None:
    """Reports nothing."""


def stubborn(config: dict[str, Any], trial: LoopTrial) -> None:
    """Catches whatever can be caught, and goes on."""
    while True:
        try:
            trial.report(loss=1.0)
        except Exception:
            SEEN.append("caught")


def raises(config: dict[str, Any], trial: LoopTrial) -> None:
    trial.report(loss=1.0)
    raise KeyError("bad luck")


def leaves(config: dict[str, Any], trial: LoopTrial) -> None:
    raise SystemExit(3)


def nameless(config: dict[str, Any], trial: LoopTrial) -> None:
    trial.report(los=1.0)


def raises_at_last(config: dict[str, Any], trial: LoopTrial) -> None:
    """Reports all its epochs, and raises before it returns."""
    for epoch in range(trial.epochs):
        trial.report(loss=1.0 / (epoch + 1))
    raise KeyError("bad luck")


def leaves_with_words(config: dict[str, Any], trial: LoopTrial) -> None:
    trial.report(loss=1.0)
    raise SystemExit("no GPU")


def wavers(config: dict[str, Any], trial: LoopTrial) -> None:
    """Saves and reports losses of which the second is the least."""
    saved = trial.load()
    for epoch in range(saved["epoch"] if saved else 0, trial.epochs):
        trial.save({"epoch": epoch + 1})
        trial.report(loss=(3.0, 1.0, 2.0, 2.5)[epoch])


NOT_A_LOOP = 3


def yields(config: dict[str, Any], trial: LoopTrial) -> Iterator[None]:
    """Does nothing when it is called."""
    yield trial.report(loss=1.0)


async def waits(config: dict[str, Any], trial: LoopTrial) -> None:
    """Neither does this."""
    trial.report(loss=1.0)


def of_one(config: dict[str, Any]) -> None:
    """Takes no trial."""
