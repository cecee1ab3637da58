"""Pixels of image files of every mode, bit depth, transparency and orientation, against values worked out by hand."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from trainables.data.pictures import Shape, decode, looks
from trainables.data.pixels import to_eight_bits

GREY = np.array([[0, 17, 85, 170], [34, 51, 204, 255]], np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
PALE = RGB // 3 + 80  # within the colours that 8-bit LAB holds
ALPHA = np.array([[0, 255, 128, 64], [255, 0, 255, 1]], np.uint8)


def read(file: Path, colour: bool = False, size: tuple[int, int] = (2, 4)) -> np.ndarray:
    """(H, W) or (H, W, 3) of one file."""
    shape = Shape(*size, colour, "crop", resize=False)
    images = np.zeros((1, *shape.array), np.uint8)
    assert decode([file], shape, images, skip=()).broken == {}
    return images[0].transpose(1, 2, 0) if colour else images[0, 0]


def reason(file: Path, size: int | None = None) -> str:
    shape = Shape(size or 2, size or 4, False, "crop", resize=size is not None)
    return decode([file], shape, np.zeros((1, *shape.array), np.uint8), skip=()).broken[file]


def is_colour(file: Path) -> bool:
    return looks([file], sizes=True)[0][file].colour


def big_endian(levels: np.ndarray) -> Image.Image:
    """Sixteen bits."""
    rows, columns = levels.shape
    return Image.frombytes("I;16B", (columns, rows), (levels.astype(np.uint16) * 257).astype(">u2").tobytes())


def save(image: Image.Image, file: Path, **options: Any) -> Path:
    image.save(file, **options)
    return file


def over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What is seen of uint8 `colours` in front of white."""
    share = alpha[..., None] / 255 if colours.ndim == 3 else alpha / 255
    return np.rint(colours * share + 255 * (1 - share))


def luma(rgb: np.ndarray) -> np.ndarray:
    """ITU-R 601-2, as Pillow documents its grey."""
    return np.rint(rgb @ [0.299, 0.587, 0.114])


def png(
    rows: np.ndarray, depth: int, colour: int, transparent: tuple[int, ...] = (), interlaced: bool = False
) -> bytes:
    """A PNG file of samples (H, W) or (H, W, channels), packed by the specification and not by Pillow."""
    samples = rows.reshape(len(rows), -1)
    if depth < 8:
        bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        lines = [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits]
    else:
        lines = [row.astype(f">u{depth // 8}").tobytes() for row in samples]
    header = struct.pack(">IIBBBBB", rows.shape[1], len(rows), depth, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))), (b"IEND", b"")]
    if transparent:
        chunks.insert(1, (b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("transparent", [False, True])
def test_the_transparent_level_of_a_grey_png_is_white(tmp_path: Path, depth: int, transparent: bool) -> None:
    """Also of 16 bits, where a neighbour of the same upper byte is opaque."""
    raw = {1: [0, 1, 0, 1], 2: [0, 1, 2, 3], 4: [0, 3, 9, 15], 8: [0, 3, 90, 255], 16: [0, 1000, 1001, 65535]}[depth]
    samples = np.array([raw, raw[::-1]])
    (tmp_path / "x.png").write_bytes(png(samples, depth, 0, (raw[1],) if transparent else ()))
    expected = samples >> 8 if depth == 16 else samples * (255 // (2**depth - 1))
    if transparent:
        expected = np.where(samples == raw[1], 255, expected)
    assert read(tmp_path / "x.png").tolist() == expected.tolist()
    assert read(tmp_path / "x.png", colour=True).tolist() == np.stack([expected] * 3, 2).tolist()
    assert not is_colour(tmp_path / "x.png")


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_of_a_png_is_white(tmp_path: Path, depth: int) -> None:
    samples = RGB.astype(int) * 256 + 7 if depth == 16 else RGB
    (tmp_path / "x.png").write_bytes(png(samples, depth, 2, tuple(samples[0, 1])))
    expected = RGB.copy()
    expected[0, 1] = 255
    assert read(tmp_path / "x.png", colour=True).tolist() == expected.tolist()
    assert is_colour(tmp_path / "x.png")


@pytest.mark.parametrize("depth", [8, 16])
def test_grey_with_alpha_stays_grey(tmp_path: Path, depth: int) -> None:
    samples = np.stack([GREY, ALPHA], 2).astype(int) * (257 if depth == 16 else 1)
    (tmp_path / "x.png").write_bytes(png(samples, depth, 4))
    assert not is_colour(tmp_path / "x.png")
    assert np.abs(read(tmp_path / "x.png") - over_white(GREY, ALPHA)).max() <= 1
    (tmp_path / "y.png").write_bytes(png(np.stack([GREY, GREY, GREY, ALPHA], 2), 8, 6))
    assert is_colour(tmp_path / "y.png")  # as its file says
    assert (read(tmp_path / "y.png") == read(tmp_path / "x.png")).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_colour_with_alpha_is_seen_over_white(tmp_path: Path, depth: int) -> None:
    samples = np.concatenate([RGB, ALPHA[..., None]], 2).astype(int) * (257 if depth == 16 else 1)
    (tmp_path / "x.png").write_bytes(png(samples, depth, 6))
    expected = over_white(RGB, ALPHA)
    assert np.abs(read(tmp_path / "x.png", colour=True) - expected).max() <= 1
    assert np.abs(read(tmp_path / "x.png") - luma(expected)).max() <= 1


def palette(alpha: bytes | int | None = None, colours: np.ndarray = RGB) -> tuple[Image.Image, dict[str, Any]]:
    """Each pixel an entry of its own."""
    image = Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4), "L")
    image.putpalette(colours.reshape(-1).tolist())
    return image, {} if alpha is None else {"transparency": alpha}


@pytest.mark.parametrize(("suffix", "one"), [("png", True), ("png", False), ("gif", True)])
def test_transparent_entries_of_a_palette_are_white(tmp_path: Path, suffix: str, one: bool) -> None:
    image, options = palette(1 if one else ALPHA.tobytes())
    file = save(image, tmp_path / f"x.{suffix}", **options)
    alpha = np.where(np.arange(8).reshape(2, 4) == 1, 0, 255) if one else ALPHA
    assert np.abs(read(file, colour=True) - over_white(RGB, alpha)).max() <= 1
    assert is_colour(file)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
def test_a_palette_of_greys_is_grey(tmp_path: Path, suffix: str) -> None:
    image, _ = palette(colours=np.stack([GREY] * 3, 2))
    file = save(image, tmp_path / f"x.{suffix}")
    assert not is_colour(file)
    assert read(file).tolist() == GREY.tolist()
    coloured, _ = palette()
    assert is_colour(save(coloured, tmp_path / f"y.{suffix}"))


def cmyk() -> Image.Image:
    return Image.fromarray(np.concatenate([255 - RGB, np.zeros((2, 4, 1), np.uint8)], 2), "CMYK")


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.buildTransform(*profiles, "RGB", "LAB").apply(Image.fromarray(PALE))


def premultiplied() -> Image.Image:
    colours = np.concatenate([RGB, ALPHA[..., None]], 2)
    return Image.fromarray(colours, "RGBA").convert("RGBa")


def grey_floats(most: float) -> Image.Image:
    return Image.fromarray((GREY / 255 * most).astype(np.float32))


RGB_ON_WHITE = over_white(RGB, ALPHA)
FILES: dict[str, tuple[Callable[[], Image.Image], np.ndarray, int]] = {
    "1.tif": (lambda: Image.fromarray(GREY > 100), (GREY > 100) * 255, 0),
    "L.tif": (lambda: Image.fromarray(GREY), GREY, 0),
    "LA.tif": (lambda: Image.fromarray(np.stack([GREY, ALPHA], 2), "LA"), over_white(GREY, ALPHA), 1),
    "PA.tif": (
        lambda: Image.merge("LA", (palette()[0].copy().convert("L"), Image.fromarray(ALPHA))),
        over_white(luma(RGB), ALPHA),
        2,
    ),
    "I.tif": (lambda: Image.fromarray(GREY.astype(np.int32) * 257), GREY, 0),
    "I;16.tif": (lambda: Image.fromarray(GREY.astype(np.uint16) * 257), GREY, 0),
    "I;16B.tif": (lambda: big_endian(GREY), GREY, 0),
    "F1.tif": (lambda: grey_floats(1), GREY, 0),
    "F255.tif": (lambda: grey_floats(255), GREY, 0),
    "deep.pgm": (lambda: Image.fromarray(GREY.astype(np.uint16) * 257), GREY, 0),
    "RGB.tif": (lambda: Image.fromarray(RGB), RGB, 0),
    "RGB.ppm": (lambda: Image.fromarray(RGB), RGB, 0),
    "RGB.bmp": (lambda: Image.fromarray(RGB), RGB, 0),
    "RGBX.tif": (lambda: Image.fromarray(RGB).convert("RGBX"), RGB, 0),
    "RGBA.tif": (lambda: Image.fromarray(np.concatenate([RGB, ALPHA[..., None]], 2)), RGB_ON_WHITE, 1),
    "RGBA.webp": (lambda: Image.fromarray(np.concatenate([RGB, ALPHA[..., None]], 2)), RGB_ON_WHITE, 1),
    "CMYK.tif": (cmyk, RGB, 0),
    "YCbCr.tif": (lambda: Image.fromarray(RGB).convert("YCbCr"), RGB, 3),
    "LAB.tif": (lab, PALE, 6),
}


@pytest.mark.parametrize("name", FILES)
def test_every_mode_that_a_file_may_have(tmp_path: Path, name: str) -> None:
    make, expected, off = FILES[name]
    options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    file = save(make(), tmp_path / name, **options)
    grey = expected.ndim == 2
    assert is_colour(file) != grey
    colour = np.stack([expected] * 3, 2) if grey else expected
    assert np.abs(read(file, colour=True) - colour.astype(float)).max() <= off
    assert np.abs(read(file) - (expected if grey else luma(expected)).astype(float)).max() <= off + 1


def test_premultiplied_and_hsv_pixels_convert_too() -> None:
    """Modes that Pillow gives for none of these formats, but may for others."""
    seen = np.asarray(to_eight_bits(premultiplied(), "RGB")).astype(float)
    assert np.abs(seen - RGB_ON_WHITE).max() <= 2
    grey = Image.fromarray(np.stack([GREY, ALPHA], 2), "LA").convert("La")
    assert np.abs(np.asarray(to_eight_bits(grey, "L")).astype(float) - over_white(GREY, ALPHA)).max() <= 2
    hsv = Image.fromarray(RGB).convert("HSV")
    assert np.abs(np.asarray(to_eight_bits(hsv, "RGB")).astype(float) - RGB).max() <= 5


def test_cmyk_jpegs_are_not_inverted(tmp_path: Path) -> None:
    """They hold the complement, as Adobe writes it."""
    file = save(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), tmp_path / "x.jpg", quality=100)
    assert b"Adobe" in file.read_bytes()
    pixel = read(file, colour=True, size=(16, 16))[8, 8].astype(int)
    assert np.abs(pixel - [0, 255, 255]).max() <= 3


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.T,
    6: lambda seen: np.rot90(seen, 1),
    7: lambda seen: np.rot90(seen, 2).T,
    8: lambda seen: np.rot90(seen, -1),
}
"""What a camera stores of what is to be seen, for each of EXIF's orientations."""


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    "kind", ["L.png", "I;16.png", "tRNS.png", "L.tif", "RGB.tif", "I;16B.tif", "RGB.webp", "RGB.jpg"]
)
def test_images_are_seen_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    stored = np.ascontiguousarray(TURNS[orientation](GREY))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif}
    image = Image.fromarray(stored)
    if kind.startswith("RGB"):
        image = image.convert("RGB")
        options |= {"lossless": True} if kind.endswith("webp") else {"quality": 100} if kind.endswith("jpg") else {}
    elif kind.startswith("I;16"):
        image = Image.fromarray(stored.astype(np.uint16) * 257)
        if kind == "I;16B.tif":
            image = big_endian(stored)
    elif kind.startswith("tRNS"):
        options["transparency"] = 17
    file = save(image, tmp_path / kind, **options)
    assert looks([file], sizes=True)[0][file].size == (4, 2)
    expected = np.where(GREY == 17, 255, GREY) if kind.startswith("tRNS") else GREY
    assert np.abs(read(file).astype(int) - expected).max() <= (4 if kind.endswith("jpg") else 0)


def frames(file: Path, count: int = 2) -> Path:
    images = [Image.fromarray(np.roll(GREY, shift)) for shift in range(count)]
    images[0].save(file, save_all=True, append_images=images[1:], duration=50)
    return file


@pytest.mark.parametrize("suffix", ["gif", "png", "tif", "webp"])
def test_the_first_of_several_frames_is_read(tmp_path: Path, suffix: str) -> None:
    several, single = frames(tmp_path / f"x.{suffix}"), save(Image.fromarray(GREY), tmp_path / f"y.{suffix}")
    shape = Shape(2, 4, False, "crop", resize=False)
    images = np.zeros((2, *shape.array), np.uint8)
    decoded = decode([several, single], shape, images, skip=())
    assert (decoded.animated, decoded.broken) == ([several], {})
    assert np.abs(images[0, 0].astype(int) - GREY).max() <= (8 if suffix == "webp" else 0)


def test_a_photo_with_its_preview_is_one_picture(tmp_path: Path) -> None:
    file = tmp_path / "x.jpg"
    Image.fromarray(RGB).save(file, "MPO", save_all=True, append_images=[Image.fromarray(RGB[::2])])
    shape = Shape(2, 4, True, "crop", resize=False)
    assert decode([file], shape, np.zeros((1, *shape.array), np.uint8), skip=()).animated == []


@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.png", b"", "no image of a known format"),
        ("text.jpg", b"I am no image", "no image of a known format"),
        ("wide.png", png(np.zeros((1, 0), int), 8, 0), "no image of a known format"),
        ("low.tif", Image.fromarray(np.full((2, 4), -1, np.int32)), "whole numbers from 0 to 65535, but are -1 to -1"),
        ("high.tif", Image.fromarray(np.full((2, 4), 10**6, np.int32)), "but are 1e+06 to 1e+06"),
        ("high_floats.tif", Image.fromarray(np.full((2, 4), 1e3, np.float32)), "floats from 0 to 1, or to 255"),
        ("nan.tif", Image.fromarray(np.full((2, 4), np.nan, np.float32)), "floats from 0 to 1, or to 255, but are nan"),
    ],
)
def test_a_file_without_levels_of_brightness_is_broken(
    tmp_path: Path, name: str, content: Any, expected: str, size: int | None
) -> None:
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        content.save(file)
    assert expected in reason(file, size)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_off_is_broken(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = save(Image.fromarray(noise), tmp_path / f"x.{suffix}")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert reason(file, 64)


def test_files_that_cannot_be_opened_are_broken_for_a_plain_reason(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    assert reason(tmp_path / "gone.png") == "No such file or directory"


def test_a_bomb_is_broken_and_a_large_photo_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6)
    file = save(Image.fromarray(GREY), tmp_path / "photo.png")
    assert read(file).tolist() == GREY.tolist()
    assert not recwarn.list
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    assert "decompression bomb" in reason(file)


@pytest.mark.parametrize("kind", ["png", "gif", "tif", "bmp"])
def test_the_content_counts_and_not_the_suffix(tmp_path: Path, kind: str) -> None:
    content = io.BytesIO()
    Image.fromarray(GREY).save(content, kind.replace("tif", "tiff"))
    (tmp_path / "x.jpg").write_bytes(content.getvalue())
    assert read(tmp_path / "x.jpg").tolist() == GREY.tolist()


def test_colour_profiles_and_texts_do_not_change_pixels(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Title", "x" * 1000, zip=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = save(Image.fromarray(RGB), tmp_path / "x.png", icc_profile=profile, pnginfo=info)
    assert read(file, colour=True).tolist() == RGB.tolist()
