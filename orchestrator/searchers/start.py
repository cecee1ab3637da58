"""First guesses of the user's, tried before anything else."""

from collections.abc import Sequence

from orchestrator.searchers.base import Observation, Searcher, key, known_keys
from search_spaces import Config, Constant, Space, SpaceError


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


def complete(space: Space, config: Config) -> Config:
    """`config` in the order of the space and with its constants.

    Raises SpaceError, with the parameter's name, unless every other active parameter has one of its values and the
    constraints are kept.
    """
    space.active(config)  # refuses unknown names
    made: Config = {}
    missing = []
    for name, domain in space.domains.items():
        if not space.is_active(name, made):
            continue
        if name in config:
            made[name] = config[name]
        elif isinstance(domain, Constant):
            made[name] = domain.value
        else:
            missing.append(name)
    if missing:
        raise SpaceError(f"must set every parameter that is switched on, but {', '.join(missing)} got no value")
    space.validate({**config, **made})
    return made
