"""Constraints as users bring them, some of which break."""

THRESHOLD = 4


def small(config):
    return config["a"] * config["b"] <= THRESHOLD


def undecided(config):
    return config.get("nothing")


def broken(config):
    raise KeyError("a")


def never(config):
    return False
