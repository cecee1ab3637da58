"""Image files as arrays of one shape."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from trainables.data.pixels import correct_transparency, is_grey, to_eight_bits

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
_ORIENTATION, _SWAPPED = 0x0112, (5, 6, 7, 8)
"""EXIF's tag, and its values for which width and height change places."""
_WIDTH, _HEIGHT = 256, 257
"""TIFF's tags."""
_BLOCK = 4096

Result = TypeVar("Result")


@dataclass(frozen=True)
class Look:
    """An image by its file's header. size: (width, height) after EXIF's orientation."""

    size: tuple[int, int]
    colour: bool


@dataclass(frozen=True)
class Shape:
    """Common shape of all images, and how those of other sides are fitted to it."""

    height: int
    width: int
    colour: bool
    fit: str
    resize: bool

    @property
    def array(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (3 if self.colour else 1, self.height, self.width)


@dataclass
class Decoded:
    """Files that could not be read, with the reason; and those of several frames, of which the first was read."""

    broken: dict[Path, str] = field(default_factory=dict)
    animated: list[Path] = field(default_factory=list)


def looks(files: Sequence[Path], sizes: bool) -> tuple[dict[Path, Look], dict[Path, str]]:
    """The header of each file that can be opened; the reason for each that cannot.

    sizes: False leaves orientations out, which may stand after the pixels of a file.
    """
    found: dict[Path, Look] = {}
    broken: dict[Path, str] = {}
    for file, result in zip(files, _in_threads(lambda index: _look(files[index], sizes), len(files)), strict=True):
        if isinstance(result, Look):
            found[file] = result
        else:
            broken[file] = result
    return found, broken


def decode(files: Sequence[Path], shape: Shape, images: np.ndarray, skip: Container[Path]) -> Decoded:
    """Fill images (N, C, H, W), uint8, from the files; those of broken files stay undefined."""

    def one(index: int) -> str | bool | None:
        if files[index] in skip:
            return None
        try:
            images[index], animated = _decode(files[index], shape)
        except Exception as error:  # whatever a decoder makes of a damaged file
            return _reason(error)
        return animated

    decoded = Decoded()
    for file, result in zip(files, _in_threads(one, len(files)), strict=True):
        if isinstance(result, str):
            decoded.broken[file] = result
        elif result:
            decoded.animated.append(file)
    return decoded


def _in_threads(work: Callable[[int], Result], count: int) -> Iterator[Result]:
    """The results for 0 to count - 1 in order. Decoding happens outside of Python's lock."""
    from PIL import Image

    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        # A large photo is no attack; beyond twice Pillow's limit it is an error.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for start in range(0, count, _BLOCK):
            yield from pool.map(work, range(start, min(start + _BLOCK, count)))


def _look(file: Path, sizes: bool) -> Look | str:
    try:
        with _opened(file) as image:
            size, colour = _stored_size(image), not is_grey(image)
            swapped = sizes and image.getexif().get(_ORIENTATION) in _SWAPPED
            return Look((size[1], size[0]) if swapped else size, colour)
    except Exception as error:  # whatever a decoder makes of a damaged file
        return _reason(error)


@contextmanager
def _opened(file: Path) -> Iterator[ImageFile]:
    """As a stream: by its path, Pillow maps some TIFF files with their rotated sides, which mixes up the pixels."""
    from PIL import Image

    with file.open("rb") as stream, Image.open(stream) as image:
        yield image


def _stored_size(image: ImageFile) -> tuple[int, int]:
    """(width, height) in the file; some versions of Pillow have turned that of a TIFF already."""
    tags = getattr(image, "tag_v2", None)
    return (tags[_WIDTH], tags[_HEIGHT]) if image.format == "TIFF" and tags else image.size


def _decode(file: Path, shape: Shape) -> tuple[np.ndarray, bool]:
    """(C, H, W), uint8; and True for a file of several frames."""
    from PIL import ImageOps

    mode, size = "RGB" if shape.colour else "L", (shape.width, shape.height)
    with _opened(file) as image:
        if shape.resize:
            image.draft(mode, (2 * shape.width, 2 * shape.height))  # a JPEG is decoded at a fraction of its size
        correct_transparency(image)
        picture = to_eight_bits(ImageOps.exif_transpose(image), mode)
        animated = _is_animated(image)
    if shape.resize and picture.size != size:
        picture = _fitted(picture, size, shape.fit)
    pixels = np.asarray(picture)
    return (pixels.transpose(2, 0, 1) if shape.colour else pixels[np.newaxis]), animated


def _is_animated(image: Image.Image) -> bool:
    """True for several frames; not for a photo with its previews (MPO)."""
    with suppress(Exception):  # a damaged second frame does no harm to the first
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    return False


def _fitted(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    from PIL import Image, ImageOps

    if fit == "stretch":
        return image.resize(size, Image.Resampling.BICUBIC)
    return (ImageOps.fit if fit == "crop" else ImageOps.pad)(image, size, Image.Resampling.BICUBIC)


def _reason(error: Exception) -> str:
    """In one line, without the path, which the message names anyway."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "no image of a known format" if type(error).__name__ == "UnidentifiedImageError" else said
