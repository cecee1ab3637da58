"""Pixels of any Pillow mode as 8-bit grey or RGB, over white where they are transparent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

_GREY_MODES = ("1", "L", "LA", "La", "F")
_LEVEL_OF_ONE = {"1": 255, "L;2": 85, "L;4": 17}
"""8-bit level of the raw value 1 in PNG files of fewer bits."""


def is_grey(image: ImageFile) -> bool:
    """True for one channel of colour, also in a palette. `image` must not be loaded yet."""
    if image.mode in ("P", "PA"):
        return _has_grey_palette(image)
    # Pillow gives 16-bit grey with alpha as RGBA.
    return image.mode in _GREY_MODES or _is_integer(image) or _raw_mode(image) == "LA;16B"


def correct_transparency(image: ImageFile) -> None:
    """Scale a PNG's transparent colour to 8 bits as Pillow does its pixels. `image` must not be loaded yet.

    Pillow reads two-byte colours by their upper byte, so that they are compared by it.
    """
    transparent, raw = image.info.get("transparency"), _raw_mode(image)
    if isinstance(transparent, int) and raw in _LEVEL_OF_ONE:
        levels = 255 // _LEVEL_OF_ONE[raw]
        image.info["transparency"] = (transparent & levels) * _LEVEL_OF_ONE[raw]
    elif isinstance(transparent, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in transparent)


def to_eight_bits(image: Image.Image, mode: str) -> Image.Image:
    """The image in `mode`, "L" or "RGB". Raises ValueError for numbers that are no levels of brightness."""
    if _is_integer(image):
        return _from_integers(image).convert(mode)
    if image.mode == "F":
        return _from_floats(image).convert(mode)
    if image.mode == "La":
        image = image.convert("LA")  # Pillow converts premultiplied grey to nothing else
    if image.has_transparency_data:
        image = _over_white(image)
    if image.mode == "LAB":
        image = image.convert("RGB")
    return image.convert(mode)


def _over_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)


def _from_integers(image: Image.Image) -> Image.Image:
    """Grey by the upper byte of 16 bits, which Pillow would cut off at 255."""
    from PIL import Image

    levels = np.asarray(image)
    _check_range(levels, 65535, "whole numbers from 0 to 65535")
    grey = (levels >> 8).astype(np.uint8)
    if isinstance(transparent := image.info.get("transparency"), int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey)


def _from_floats(image: Image.Image) -> Image.Image:
    """Grey from floats in [0, 1], or else in [0, 255] as Pillow has them."""
    from PIL import Image

    levels = np.asarray(image)
    _check_range(levels, 255, "floats from 0 to 1, or to 255")
    if levels.max() > 1:
        return image.convert("L")
    return Image.fromarray(np.rint(levels * 255).astype(np.uint8))


def _check_range(levels: np.ndarray, most: int, wanted: str) -> None:
    low, high = levels.min(), levels.max()
    if not 0 <= low <= high <= most:
        raise ValueError(f"its pixels must be {wanted}, but are {low:g} to {high:g}")


def _is_integer(image: Image.Image) -> bool:
    """True for grey of more than 8 bits."""
    return image.mode.startswith("I")


def _has_grey_palette(image: Image.Image) -> bool:
    colours = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _raw_mode(image: ImageFile) -> str:
    """Layout of a PNG's pixels in its file; "" for other formats."""
    return str(image.tile[0][3]) if image.format == "PNG" and image.tile else ""
