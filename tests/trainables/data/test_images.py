"""A user's own folder of images, in the sizes and kinds of colour that cameras and people leave behind."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from trainables import DataConfig, DataError, Dataset, TrainConfig, Trainer, as_floats, load_data
from trainables.data import DataWarning

CLASSES = ("dark", "light", "mixed")
LEVELS = {"dark": 40, "light": 210, "mixed": 130}


def draw(path: Path, level: int, size: tuple[int, int] = (12, 12), mode: str = "RGB", **options: Any) -> Path:
    """An image of that level with some noise."""
    rng = np.random.default_rng(len(str(path)) + level)
    pixels = np.clip(level + rng.integers(-15, 16, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def tree(root: Path, count: int = 10, classes: tuple[str, ...] = CLASSES, **options: Any) -> Path:
    for name in classes:
        for index in range(count):
            draw(root / name / f"{index}.{'png' if index % 2 else 'jpg'}", LEVELS[name] + index, **options)
    return root


def load(root: Path, **settings: Any) -> Dataset:
    return load_data(DataConfig(name="images", path=str(root), **{"size": 8, **settings}))


def assert_refused(root: Path, where: Path | str, reason: str, **settings: Any) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(str(where))} .*{reason}"):
        load(root, **settings)


def only(data: Dataset) -> torch.Tensor:
    """The inputs of all parts."""
    return torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])


@pytest.fixture
def one(tmp_path: Path) -> Callable[..., torch.Tensor]:
    """Draws one image by what the test does with its path, and gives it as it is trained on, beside plain ones."""

    def load_one(save: Callable[[Path], Any], name: str, **settings: Any) -> torch.Tensor:
        tree(tmp_path / "train", 4, CLASSES[:2])
        for part in ("validation", "test"):
            for folder in CLASSES[:2]:
                draw(tmp_path / part / folder / "a.png", 99)
        (tmp_path / "test" / CLASSES[0] / "a.png").unlink()
        save(tmp_path / "test" / CLASSES[0] / name)
        return load(tmp_path, **settings).test.inputs[0]

    return load_one


def test_a_folder_a_class_is_split_by_class(tmp_path: Path) -> None:
    data = load(tree(tmp_path), validation=0.2, test=0.3)
    assert (data.classes, data.input_shape, data.task) == (CLASSES, (3, 8, 8), "classification")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [15, 6, 9]
    for part, each in ((data.train, 5), (data.validation, 2), (data.test, 3)):
        assert part.inputs.dtype == torch.uint8
        assert part.targets.bincount().tolist() == [each] * 3
        for image, label in zip(part.inputs, part.targets, strict=True):
            level = LEVELS[CLASSES[int(label)]]
            assert level - 5 <= float(image.float().mean()) <= level + 15
    floats = as_floats(data.train.inputs)
    assert torch.allclose(data.mean, floats.mean(dim=(0, 2, 3)))
    assert torch.allclose(data.std, floats.std(dim=(0, 2, 3)))


@pytest.mark.parametrize("name", ["dev", "validation", "val", "Valid"])
def test_a_user_s_own_parts_stay(tmp_path: Path, name: str) -> None:
    for part, count in (("train", 6), (name, 3), ("test", 2)):
        tree(tmp_path / part, count)
    data = load(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [18, 9, 6]
    assert data.classes == CLASSES


def test_a_part_that_is_not_there_comes_out_of_training(tmp_path: Path) -> None:
    tree(tmp_path / "train")
    tree(tmp_path / "test", 2)
    assert [len(part) for part in vars(load(tmp_path)).values() if hasattr(part, "targets")] == [24, 6, 6]


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    for index in range(6):
        draw(tmp_path / "train" / f"{index}.png", 50)
        draw(tmp_path / "test" / f"{index}.png", 150)
    assert load(tmp_path).classes == ("test", "train")


@pytest.mark.parametrize("name", ["holdout", "trian"])
def test_a_folder_beside_the_parts_is_no_class(tmp_path: Path, name: str) -> None:
    for part in ("train", "dev"):
        tree(tmp_path / part, 2)
    tree(tmp_path / name, 2)
    assert_refused(tmp_path, tmp_path / name, "must be one of train, validation, test by its name")


def test_a_link_back_to_where_it_is_adds_no_images(tmp_path: Path) -> None:
    (tree(tmp_path) / CLASSES[0] / "again").symlink_to(tmp_path / CLASSES[0])
    assert len(only(load(tmp_path))) == 30


def test_images_are_found_below_their_class_and_other_files_are_not_images(tmp_path: Path) -> None:
    tree(tmp_path)
    draw(tmp_path / "dark" / "deeper" / "again" / "x.PNG", 40)
    for name in ("notes.txt", ".hidden.png"):
        (tmp_path / "dark" / name).write_text("nothing to see")
    (tmp_path / ".cache").mkdir()
    assert len(only(load(tmp_path))) == 31


def test_grey_images_have_one_channel_and_any_in_colour_makes_three(tmp_path: Path) -> None:
    tree(tmp_path, mode="L")
    assert load(tmp_path).input_shape == (1, 8, 8)
    draw(tmp_path / "dark" / "colour.png", 40)
    assert load(tmp_path).input_shape == (3, 8, 8)
    assert load(tmp_path, channels="grey").input_shape == (1, 8, 8)


def test_images_of_one_size_keep_it(tmp_path: Path) -> None:
    tree(tmp_path, size=(10, 6))
    assert load(tmp_path, size=None).input_shape == (3, 6, 10)
    odd = draw(tmp_path / "light" / "odd.png", 200, (9, 9))
    assert_refused(
        tmp_path, "data.size", f"different sizes: .*10 x 6 pixels, {re.escape(str(odd))} has 9 x 9", size=None
    )


def test_an_image_stands_as_its_camera_was_held(one: Callable[..., torch.Tensor]) -> None:
    """Orientation 6: what is stored as its left side is to be seen on top."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = one(lambda path: Image.fromarray(pixels).save(path, exif=exif), "turned.png").float().mean(0)
    assert (float(seen[:4].min()), float(seen[4:].max())) == (255, 0)


def test_what_is_transparent_is_white(one: Callable[..., torch.Tensor]) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4, :, 3] = 255
    seen = one(lambda path: Image.fromarray(pixels).save(path), "clear.png").float().mean(0)
    assert (float(seen[:4].max()), float(seen[4:].min())) == (0, 255)


def test_a_transparent_level_of_sixteen_bits_is_white(one: Callable[..., torch.Tensor]) -> None:
    pixels = np.full((8, 8), 1000, np.uint16)
    pixels[:4] = 40_000
    seen = one(lambda path: Image.fromarray(pixels).save(path, transparency=1000), "deep.png")
    assert (seen[:, :4].unique().tolist(), seen[:, 4:].unique().tolist()) == ([40_000 >> 8], [255])


def test_sixteen_bits_become_eight(one: Callable[..., torch.Tensor]) -> None:
    pixels = np.full((8, 8), 40_000, np.uint16)
    seen = one(lambda path: Image.fromarray(pixels).save(path), "deep.png")
    assert set(seen.flatten().tolist()) == {40_000 >> 8}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_kind_of_colour_can_be_read(one: Callable[..., torch.Tensor], mode: str) -> None:
    name = "any.jpg" if mode == "CMYK" else "any.png"
    seen = one(lambda path: draw(path, 255, mode=mode), name)
    assert seen.shape == (3, 8, 8)
    assert float(seen.float().mean()) > 230


@pytest.mark.parametrize(("fit", "white"), [("crop", 81), ("pad", 9), ("stretch", 27)])
def test_a_wide_image_is_cut_padded_or_stretched(one: Callable[..., torch.Tensor], fit: str, white: int) -> None:
    """The middle of three squares is white: all that is left, a ninth, or a third of the picture."""
    pixels = np.zeros((24, 72), np.uint8)
    pixels[:, 24:48] = 255
    seen = one(lambda path: Image.fromarray(pixels).save(path), "wide.png", fit=fit, channels="grey", size=9)
    assert int((seen > 127).sum()) == white
    assert int(seen[0, 4, 4]) == 255


def test_a_large_photo_is_as_if_it_were_decoded_in_full(one: Callable[..., torch.Tensor]) -> None:
    ramp = np.linspace(0, 255, 400).astype(np.uint8)
    photo = Image.fromarray(np.stack([np.tile(ramp, (400, 1))] * 3, axis=2))
    seen = one(lambda path: photo.save(path, quality=95), "large.jpg", size=16)
    expected = np.asarray(photo.resize((16, 16), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.abs(seen.numpy().astype(int) - expected).max() <= 4


def spoil(root: Path) -> dict[str, Path]:
    """One file cut off, one of something else, one empty."""
    cut = draw(root / "dark" / "cut.jpg", 40, (64, 64))
    cut.write_bytes(cut.read_bytes()[:300])
    text, empty = root / "light" / "text.png", root / "mixed" / "empty.png"
    text.write_text("I am no image")
    empty.touch()
    return {"cut": cut, "text": text, "empty": empty}


@pytest.mark.parametrize("size", [8, None])
def test_damaged_images_are_left_out_and_named(tmp_path: Path, size: int | None) -> None:
    damaged = spoil(tree(tmp_path, size=(64, 64)))
    for _ in range(2):  # read from the files, then from the cache
        with pytest.warns(DataWarning, match="^3 of 33 images cannot be read and are left out") as told:
            data = load(tmp_path, size=size)
        assert all(str(path) in str(told[0].message) for path in damaged.values())
        assert len(only(data)) == 30


def test_animations_are_named(tmp_path: Path) -> None:
    tree(tmp_path)
    still = [Image.new("RGB", (12, 12), colour) for colour in ("red", "blue")]
    still[0].save(tmp_path / "dark" / "moves.gif", save_all=True, append_images=still[1:])
    with pytest.warns(DataWarning, match=r"^1 files have several frames, of which only the first is used: .*moves.gif"):
        data = load(tmp_path, strict=True)
    assert any(torch.equal(image, torch.tensor([255, 0, 0]).view(3, 1, 1).expand(3, 8, 8)) for image in only(data))


def test_strict_wants_every_image(tmp_path: Path) -> None:
    damaged = spoil(tree(tmp_path))
    with pytest.raises(DataError, match="cannot be read as an image") as told:
        load(tmp_path, strict=True)
    assert any(str(path) in str(told.value) for path in damaged.values())


def test_whole_images_are_read_without_a_word(tmp_path: Path) -> None:
    tree(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, strict=True)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    tree(tmp_path)
    load(tmp_path)  # what is kept of this must not hide what comes
    (tmp_path / "nothing").mkdir()
    assert_refused(tmp_path, tmp_path / "nothing", "must hold images of its class .*, but holds none")
    (tmp_path / "nothing" / "list.txt").touch()
    assert_refused(tmp_path, tmp_path / "nothing", "but holds none")
    (tmp_path / "nothing" / "broken.png").touch()
    assert_refused(tmp_path, tmp_path / "nothing", "none of its files can be read")


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_class_that_is_not_trained_on_is_named(tmp_path: Path, part: str) -> None:
    tree(tmp_path / "train")
    tree(tmp_path / part, 2)
    draw(tmp_path / part / "drak" / "0.png", 40)
    where = tmp_path / part / "drak"
    assert_refused(tmp_path, where, r"must be of a class .* dark, light, mixed; did you mean 'dark'\?")


def test_a_class_of_one_image_cannot_be_split(tmp_path: Path) -> None:
    draw(tree(tmp_path) / "rare" / "0.png", 90)
    assert_refused(tmp_path, tmp_path, "cannot be split by class: .* of 'rare' there is 1")


def test_no_folder_no_classes_and_one_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path must name a folder with a sub-folder of images for each class"):
        load_data(DataConfig(name="images"))
    assert_refused(tmp_path / "none", tmp_path / "none", "does not exist")
    assert_refused(tmp_path, tmp_path, "a sub-folder for each of two classes at least, but has none")
    tree(tmp_path, classes=CLASSES[:1])
    assert_refused(tmp_path, tmp_path, "two classes at least, but has dark only")
    assert_refused(tmp_path / "dark" / "0.jpg", tmp_path / "dark" / "0.jpg", "but it is a file")


def test_two_folders_for_one_part_are_refused(tmp_path: Path) -> None:
    for part in ("train", "val", "valid"):
        tree(tmp_path / part, 2)
    assert_refused(tmp_path, tmp_path, "one folder for validation, but holds val and valid")


def test_they_train(tmp_path: Path) -> None:
    data = load(tree(tmp_path, 20))
    config = TrainConfig.of(
        {"epochs": 4, "batch_size": 8, "model": {"name": "mlp", "width": 16}, "augment": {"shift": 0}}
    )
    epochs = list(Trainer(config, data).epochs())
    assert max(epoch.val_accuracy or 0 for epoch in epochs) > 0.9
