"""What the shipped builders take, looked at before anything is allocated."""

from __future__ import annotations

from trainables.errors import SettingError

MOST_WIDTH = 2**16
MOST_DEPTH = 100
STRIDES = (1, 2, 4)


class ModelError(SettingError):
    """A model that cannot be found, or does not fit its arguments or the data; the message begins with the key."""

    key: str = "model"


def check_arguments(width: object = 1, depth: object = 1, dropout: object = 0.0, stem: object = 1) -> None:
    """A slip of the finger must not fill the memory. Raises ModelError."""
    for name, value, most in (("width", width, MOST_WIDTH), ("depth", depth, MOST_DEPTH)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ModelError.at(f"model.{name}", f"must be a whole number from 1 to {most}, but got {value!r:.40}")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ModelError.at("model.dropout", f"must be a number from 0 to below 1, but got {dropout!r}")
    if isinstance(stem, bool) or stem not in STRIDES:
        raise ModelError.at("model.stem", f"must be one of {', '.join(map(str, STRIDES))}, but got {stem!r:.40}")


def check_images(name: str, input_shape: tuple[int, ...]) -> None:
    """Raises ModelError where convolutions would get features."""
    if len(input_shape) != 3:
        raise ModelError.at(
            "model.name", f"{name!r} is for images, but the data has {input_shape[0]} features; use mlp"
        )
