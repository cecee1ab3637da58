"""Image files to arrays of one shape, whatever their sizes, orientations and kinds of colour."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and its values that swap width and height
_BLOCK = 4096

Result = TypeVar("Result")


@dataclass(frozen=True)
class Look:
    """What a file's head says of its image. size: (width, height) as it is meant to be seen."""

    size: tuple[int, int]
    colour: bool


@dataclass(frozen=True)
class Shape:
    """What every image becomes: pixels and channels, and how its sides get there if they are others."""

    height: int
    width: int
    colour: bool
    fit: str
    resize: bool

    @property
    def array(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (3 if self.colour else 1, self.height, self.width)


def looks(files: Sequence[Path], sizes: bool) -> tuple[dict[Path, Look], dict[Path, str]]:
    """A look at each file that can be opened, and why the others cannot. Without `sizes` they may lie on their side."""
    found: dict[Path, Look] = {}
    broken: dict[Path, str] = {}
    for file, result in zip(files, _in_threads(lambda index: _look(files[index], sizes), len(files)), strict=True):
        if isinstance(result, Look):
            found[file] = result
        else:
            broken[file] = result
    return found, broken


def decode(files: Sequence[Path], shape: Shape, images: np.ndarray, skip: Container[Path]) -> dict[Path, str]:
    """Fills images (N, C, H, W), uint8, from the files; those that cannot be read, with the reason, stay undefined."""

    def one(index: int) -> str | None:
        if files[index] in skip:
            return None
        try:
            images[index] = _decode(files[index], shape)
        except Exception as error:  # whatever a decoder makes of a damaged file
            return _reason(error)
        return None

    results = zip(files, _in_threads(one, len(files)), strict=True)
    return {file: reason for file, reason in results if reason is not None}


def _in_threads(work: Callable[[int], Result], count: int) -> Iterator[Result]:
    """The results for 0 to count - 1 in order. Decoding happens outside of Python's lock."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, count, _BLOCK):
            yield from pool.map(work, range(start, min(start + _BLOCK, count)))


def _look(file: Path, sizes: bool) -> Look | str:
    from PIL import Image

    try:
        with Image.open(file) as image:
            lying = sizes and image.getexif().get(_ORIENTATION) in _LYING
            size = (image.height, image.width) if lying else (image.width, image.height)
            return Look(size, colour=not (_is_deep(image) or image.mode in ("1", "L", "LA", "La")))
    except Exception as error:  # whatever a decoder makes of a damaged file
        return _reason(error)


def _decode(file: Path, shape: Shape) -> np.ndarray:
    """(C, H, W), uint8."""
    from PIL import Image, ImageOps

    mode, size = "RGB" if shape.colour else "L", (shape.width, shape.height)
    with Image.open(file) as image:
        if shape.resize:
            image.draft(mode, (2 * shape.width, 2 * shape.height))  # a JPEG is decoded at a fraction of its size
        picture = _plain(ImageOps.exif_transpose(image), mode)
    if shape.resize and picture.size != size:
        picture = _fitted(picture, size, shape.fit)
    pixels = np.asarray(picture)
    return pixels.transpose(2, 0, 1) if shape.colour else pixels[np.newaxis]


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """In 8 bits a channel, with white where it is transparent."""
    from PIL import Image

    if _is_deep(image):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return image.convert(mode)


def _is_deep(image: Image.Image) -> bool:
    """Whether it is grey in 16 bits, which Pillow would cut off at 255."""
    return image.mode.startswith("I")


def _fitted(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    from PIL import Image, ImageOps

    if fit == "stretch":
        return image.resize(size, Image.Resampling.BICUBIC)
    return (ImageOps.fit if fit == "crop" else ImageOps.pad)(image, size, Image.Resampling.BICUBIC)


def _reason(error: Exception) -> str:
    """In a few words, without the path, which is said anyway."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "no image of a known format" if type(error).__name__ == "UnidentifiedImageError" else said
