"""First guesses of the user's, tried before anything else."""

from collections.abc import Sequence

from orchestrator.searchers.base import Observation, Searcher, key, known_keys
from search_spaces import Config


class StartFirst:
    """The configurations in `start`, in order, that are neither done nor pending, then what `searcher` proposes."""

    def __init__(self, searcher: Searcher, start: Sequence[Config]) -> None:
        self._searcher = searcher
        self._start = list(start)

    def suggest(self, done: Sequence[Observation], pending: Sequence[Config]) -> Config | None:
        """The next first guess, or the searcher's next proposal."""
        known = known_keys(done, pending)
        guess = next((config for config in self._start if key(config) not in known), None)
        return self._searcher.suggest(done, pending) if guess is None else dict(guess)
