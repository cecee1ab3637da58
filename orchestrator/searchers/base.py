"""What a searcher is: a function from all that is known to the next configuration."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from search_spaces import Config, Space, hashable

Key = frozenset[tuple[str, Hashable]]
TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one trial has shown so far. A loss that is not finite stands for a trial that failed.

    Attributes:
        loss: the lowest so far; always minimised.
        budget: epochs trained.
        cost: seconds of training; of one trial, where there are repeats.
        curve: the loss after each epoch, where that is known.
        repeats: how many trials of this configuration, with different seeds, `loss` is the mean of.
        variance: of that mean, estimated from the repeats; NaN where there is one alone.
        prior: comes from an earlier run: it informs, but its configuration may be proposed again.
        complete: the trial trained for as long as it was to, perhaps less than others by its own early stopping.
        share: what its model costs to use, as a fraction of another's, where the trial tells; NaN elsewhere.
    """

    config: Config
    loss: float
    budget: int = 0
    cost: float = 0.0
    curve: tuple[float, ...] = ()
    repeats: int = 1
    variance: float = math.nan
    prior: bool = False
    complete: bool = False
    share: float = math.nan

    @property
    def failed(self) -> bool:
        """Whether the trial gave no usable loss."""
        return not math.isfinite(self.loss)

    @cached_property
    def key(self) -> Key:
        """See `key`; made once, as every proposal asks for all of them."""
        return key(self.config)


class Searcher(Protocol):
    """Proposes configurations.

    A searcher keeps nothing between calls: the same construction and arguments give the same answer, in this
    process or another. What it proposes is valid in its space and equals no config in `done` or `pending`.
    """

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The configuration to try next, or None where nothing new is left in the space.

        A trial that is still running is in `pending`, and once it has reported in `done`, too, with what it has shown.
        """
        ...


def key(config: Mapping[str, Any]) -> Key:
    """Hashable key of a configuration; equal if and only if the configurations are."""
    return frozenset((name, hashable(value)) for name, value in config.items())


def known_keys(done: Sequence[Observation], pending: Sequence[Config]) -> set[Key]:
    """The keys of all configurations that must not be proposed again."""
    return {seen.key for seen in done if not seen.prior} | {key(config) for config in pending}


def first_new(space: Space, known: set[Key]) -> Config | None:
    """The first point of the grid that is not known; after at most len(known) + 1 steps."""
    return next((config for config in space.grid() if key(config) not in known), None)


def sample_new(space: Space, known: set[Key], rng: np.random.Generator) -> Config | None:
    """A random configuration that is not known, or None where none is left (or found, in a continuum)."""
    for _ in range(TRIES):
        config = space.sample(rng)
        if key(config) not in known:
            return config
    return None if space.size is None else first_new(space, known)
