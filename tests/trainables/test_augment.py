from math import cos, exp, floor, log, radians, sin, sqrt, tan

import pytest
import torch
from torch import Tensor

from trainables import DRAWS, Augment, AugmentConfig, Dataset, Draws, SettingError

IMAGES = (2, 8, 6)
EVERYTHING = AugmentConfig(
    **{"rotate": 30, "shift": 0.2, "zoom": 0.3, "shear": 20, "flip": 0.5, "flip_vertical": 0.3, "crop": 2},
    **{"brightness": 0.3, "contrast": 0.5, "erase": 0.7, "erase_area": 0.4},
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(**values: float) -> Draws:
    """One image's draws, 0.5 (no angle, no move, as it is) except where said otherwise."""
    assert set(values) <= set(DRAWS)
    return Draws(torch.tensor([[values.get(name, 0.5) for name in DRAWS]]))


def noise(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, *IMAGES, generator=generator(seed))


def changed(config: AugmentConfig, image: Tensor, **values: float) -> Tensor:
    """One image (1, C, H, W) by such draws."""
    return Augment(config, tuple(image.shape[1:])).apply(image, draws(**values))


class Reference:
    """The same changes pixel by pixel, in the words of the settings."""

    def __init__(self, config: AugmentConfig, draw: dict[str, float]) -> None:
        self.config, self.draw = config, draw

    def signed(self, name: str) -> float:
        return 2 * self.draw[name] - 1

    def crop(self, image: Tensor) -> Tensor:
        """Reading beyond an edge reads as far inside of it."""
        _, height, width = image.shape
        down, right = (floor(self.draw[f"crop_{way}"] * (2 * self.config.crop + 1)) for way in ("down", "right"))
        out = torch.empty_like(image)
        for row in range(height):
            for column in range(width):
                y, x = abs(row + down - self.config.crop), abs(column + right - self.config.crop)
                out[:, row, column] = image[:, min(y, 2 * (height - 1) - y), min(x, 2 * (width - 1) - x)]
        return out

    def flip(self, image: Tensor) -> Tensor:
        if self.draw["flip"] < self.config.flip:
            image = image.flip(2)
        return image.flip(1) if self.draw["flip_vertical"] < self.config.flip_vertical else image

    def resample(self, image: Tensor) -> Tensor:
        """Each pixel's middle is followed back: shift, turn, shear, zoom undone; then interpolated."""
        _, height, width = image.shape
        out = torch.empty_like(image)
        angle, slope = (
            radians(self.signed("angle") * self.config.rotate),
            tan(radians(self.signed("shear") * self.config.shear)),
        )
        for row in range(height):
            for column in range(width):
                x = column + 0.5 - width / 2 - self.signed("right") * self.config.shift * width
                y = row + 0.5 - height / 2 - self.signed("down") * self.config.shift * height
                x, y = cos(angle) * x - sin(angle) * y, sin(angle) * x + cos(angle) * y
                x -= slope * y
                scale = 1 + self.signed("zoom") * self.config.zoom
                out[:, row, column] = between(image, y / scale + height / 2 - 0.5, x / scale + width / 2 - 0.5)
        return out

    def adjust(self, image: Tensor) -> Tensor:
        mean = float(image.mean())
        factor = 1 + self.signed("contrast") * self.config.contrast
        return ((image - mean) * factor + mean + self.signed("brightness") * self.config.brightness).clamp(0, 1)

    def erase(self, image: Tensor) -> Tensor:
        if self.draw["erase"] >= self.config.erase:
            return image
        _, height, width = image.shape
        area = 0.02 + (self.config.erase_area - 0.02) * self.draw["erase_area"]
        shape = exp(self.signed("erase_shape") * log(1 / 0.3))
        rows = min(height, round(sqrt(area * shape) * height))
        columns = min(width, round(sqrt(area / shape) * width))
        top, left = (
            floor(self.draw["erase_down"] * (height - rows + 1)),
            floor(self.draw["erase_right"] * (width - columns + 1)),
        )
        out = image.clone()
        out[:, top : top + rows, left : left + columns] = self.draw["erase_grey"]
        return out

    def __call__(self, image: Tensor) -> Tensor:
        return self.erase(self.adjust(self.resample(self.flip(self.crop(image)))))


def between(image: Tensor, y: float, x: float) -> Tensor:
    """The four pixels around a place by their nearness; what is outside is 0."""
    _, height, width = image.shape
    top, left = floor(y), floor(x)
    total = torch.zeros(len(image))
    for row, weight_down in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, weight_right in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < height and 0 <= column < width:
                total += weight_down * weight_right * image[:, row, column]
    return total


@pytest.mark.parametrize("seed", [0, 1])
def test_a_batch_is_what_a_slow_reference_makes_of_each_image(seed: int) -> None:
    images, drawn = noise(24, seed), Draws.of(24, generator(seed + 9))
    batch = Augment(EVERYTHING, IMAGES).apply(images, drawn)
    for i, image in enumerate(images):
        row = {name: float(drawn[name][i]) for name in DRAWS}
        assert torch.allclose(batch[i], Reference(EVERYTHING, row)(image), atol=1e-4), i


@pytest.mark.parametrize("name", ["rotate", "shift", "zoom", "shear", "crop", "brightness", "contrast", "erase"])
def test_each_change_works_by_itself(name: str) -> None:
    strength = {"rotate": 40.0, "shear": 30.0, "crop": 2}.get(name, 0.4)
    images, drawn = noise(8), Draws.of(8, generator(3))
    off = {field: 0 for field in AugmentConfig.model_fields if field != "erase_area"}
    config = AugmentConfig.model_validate({**off, name: strength})
    batch = Augment(config, IMAGES).apply(images, drawn)
    assert not torch.equal(batch, images)
    for i, image in enumerate(images):
        row = {draw: float(drawn[draw][i]) for draw in DRAWS}
        assert torch.allclose(batch[i], Reference(config, row)(image), atol=1e-4)


def test_switched_off_changes_nothing(digits: Dataset) -> None:
    images = digits.train.inputs[:16]
    assert torch.equal(Augment(AugmentConfig(), digits.input_shape)(images, generator()), images)


def test_same_generator_same_images(digits: Dataset) -> None:
    augment = Augment(EVERYTHING, digits.input_shape)
    images = digits.train.inputs[:16]
    first = augment(images, generator())
    assert torch.equal(first, augment(images, generator()))
    assert not torch.equal(first, augment(images, generator(1)))
    assert first.shape == images.shape
    assert first.dtype == images.dtype


def test_a_slice_of_the_draws_gives_the_slice_of_the_images(digits: Dataset) -> None:
    augment = Augment(EVERYTHING, digits.input_shape)
    images, drawn = digits.train.inputs[:16], Draws.of(16, generator())
    whole = augment.apply(images, drawn)
    assert torch.equal(augment.apply(images[5:11], drawn.rows(slice(5, 11))), whole[5:11])


@pytest.mark.parametrize("sizes", [[7, 7, 2], [128, 3], [1, 1, 1]])
def test_an_epochs_draws_are_those_of_its_batches(sizes: list[int]) -> None:
    at_once, one_by_one = generator(), generator()
    whole = Draws.of(sum(sizes), at_once)
    assert torch.equal(whole.values, torch.cat([Draws.of(size, one_by_one).values for size in sizes]))
    assert torch.equal(at_once.get_state(), one_by_one.get_state())


def test_a_strength_leaves_the_other_draws_as_they_were() -> None:
    configs = (AugmentConfig(flip=0.5), AugmentConfig(flip=0.5, erase=1e-9))
    one, other = (Augment(config, IMAGES)(noise(32), generator()) for config in configs)
    assert torch.equal(one, other)


def test_each_image_has_its_own_change() -> None:
    image = noise(1).expand(8, -1, -1, -1)
    different = Augment(AugmentConfig(rotate=30), IMAGES)(image, generator())
    assert len(different.flatten(1).unique(dim=0)) == 8


def test_a_quarter_turn_keeps_every_pixel_of_a_square() -> None:
    image = torch.rand(1, 2, 8, 8, generator=generator())
    assert torch.allclose(changed(AugmentConfig(rotate=90), image, angle=1.0), image.rot90(1, (2, 3)), atol=1e-5)


def test_a_quarter_turn_of_an_oblong_does_not_stretch() -> None:
    image = torch.zeros(1, 1, 4, 8)
    image[..., 1:3, 3:5] = 1.0
    assert torch.allclose(changed(AugmentConfig(rotate=90), image, angle=1.0), image, atol=1e-5)


def test_shift_moves_right_and_down_by_a_fraction_of_the_side() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 2, 3] = 1.0
    moved = changed(AugmentConfig(shift=0.25), image, right=1.0, down=0.75)
    assert moved[0, 0].argmax() == 3 * 8 + 5
    assert float(moved.sum()) == pytest.approx(1.0, abs=1e-5)


def test_zoom_makes_larger_and_smaller() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 2:6, 2:6] = 1.0
    larger, smaller = (changed(AugmentConfig(zoom=0.5), image, zoom=value).sum() for value in (1.0, 0.0))
    assert float(larger) > 1.5 * 16
    assert float(smaller) < 16 / 1.5


def test_flips_are_mirrors_with_their_probabilities() -> None:
    images = torch.rand(2000, 1, 3, 4, generator=generator())
    for config, side, share in ((AugmentConfig(flip=0.25), -1, 0.25), (AugmentConfig(flip_vertical=0.6), -2, 0.6)):
        flipped = Augment(config, (1, 3, 4))(images, generator())
        mirrored = (flipped == images.flip(side)).flatten(1).all(1)
        assert torch.equal(flipped[~mirrored], images[~mirrored])
        assert float(mirrored.float().mean()) == pytest.approx(share, abs=0.04)


def test_crop_cuts_out_of_a_reflected_border() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    corner = changed(AugmentConfig(crop=1), image, crop_right=0.0, crop_down=0.0)
    assert torch.equal(corner[0, 0, 0], torch.tensor([5.0, 4.0, 5.0, 6.0]))
    assert torch.equal(corner[0, 0, 1:, 1:], image[0, 0, :3, :3])
    assert torch.equal(changed(AugmentConfig(crop=1), image), image)


def test_crop_reaches_every_offset() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8).expand(500, 1, 8, 8)
    corners = Augment(AugmentConfig(crop=2), (1, 8, 8))(image, generator())[:, 0, 4, 4]
    assert len(corners.unique()) == 25


def test_values_stay_from_0_to_1() -> None:
    bright = Augment(AugmentConfig(brightness=1, contrast=1), IMAGES)(noise(50), generator())
    assert float(bright.min()) >= 0
    assert float(bright.max()) <= 1


def test_erasing_covers_a_rectangle_of_no_more_than_its_area() -> None:
    images = torch.full((400, 1, 20, 20), 2.0)
    erased = Augment(AugmentConfig(erase=0.5, erase_area=0.3), (1, 20, 20))(images, generator()) < 2
    covered = erased.float().mean(dim=(1, 2, 3))
    assert float((covered > 0).float().mean()) == pytest.approx(0.5, abs=0.07)
    assert 0.2 < float(covered.max()) < 0.36
    for one in erased[covered > 0]:
        rows, columns = one[0].any(1), one[0].any(0)
        assert torch.equal(one[0], rows[:, None] & columns)


MIXING = [AugmentConfig(mixup=0.4), AugmentConfig(cutmix=1.0), AugmentConfig(mixup=0.4, cutmix=1.0)]


@pytest.mark.parametrize("config", MIXING)
def test_targets_are_mixed_as_the_inputs_are(config: AugmentConfig) -> None:
    """Black and white in turns: an image's mean then tells the share of the white one in it."""
    augment = Augment(config, (1, 12, 10))
    white = torch.tensor([0.0, 1.0]).repeat(100).reshape(-1, 1)
    images = white.reshape(-1, 1, 1, 1).expand(200, 1, 12, 10)
    inputs, targets = augment.mix(images, torch.cat((1 - white, white), dim=1), Draws.of(199, generator()))
    assert inputs.shape == (199, 1, 12, 10)
    assert torch.allclose(inputs.mean(dim=(1, 2, 3)), targets[:, 1], atol=1e-5)
    assert torch.allclose(targets.sum(1), torch.ones(199))
    assert len(targets[:, 1].unique()) > 30


def test_cutmix_replaces_a_rectangle_and_mixup_blends() -> None:
    black_and_white = torch.stack((torch.zeros(1, 10, 10), torch.ones(1, 10, 10)))
    targets = torch.eye(2)
    middle = {"mix_share": 0.75, "cut_right": 0.5, "cut_down": 0.5}
    cut, left = Augment(AugmentConfig(cutmix=1.0), (1, 10, 10)).mix(black_and_white, targets, draws(**middle))
    assert float(left[0, 1]) == pytest.approx(float(cut.mean()))
    assert float(cut.mean()) == pytest.approx(0.25, abs=0.1)
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    blended, share = Augment(AugmentConfig(mixup=1.0), (1, 10, 10)).mix(black_and_white, targets, draws(**middle))
    assert torch.allclose(blended, torch.full((1, 1, 10, 10), 0.25))
    assert torch.allclose(share, torch.tensor([[0.75, 0.25]]))


def test_shares_have_the_beta_distribution() -> None:
    for alpha in (0.2, 1.0, 4.0):
        augment, n = Augment(AugmentConfig(mixup=alpha), (1,)), 4000
        ones = torch.ones(n + 1, 1)
        ones[1::2] = 0
        _, shares = augment.mix(torch.zeros(n + 1, 1), ones, Draws.of(n, generator()))
        assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
        assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_features_and_values_are_mixed_too() -> None:
    inputs, targets = torch.tensor([[0.0, 4.0], [2.0, 0.0]]), torch.tensor([[10.0], [20.0]])
    mixed, values = Augment(AugmentConfig(mixup=1.0), (2,)).mix(inputs, targets, draws(mix_share=0.25))
    assert torch.allclose(mixed, torch.tensor([[1.5, 1.0]]))
    assert torch.allclose(values, torch.tensor([[17.5]]))


@pytest.mark.parametrize("name", [name for name in AugmentConfig.model_fields if name not in ("mixup", "erase_area")])
def test_what_is_for_images_is_refused_for_features(name: str) -> None:
    config = AugmentConfig.model_validate({name: 1 if name == "crop" else 0.5})
    with pytest.raises(SettingError, match=rf"^augment\.{name}: is for images, but the data has 5 features$"):
        Augment(config, (5,))


def test_a_border_as_wide_as_the_image_is_refused() -> None:
    message = r"^augment\.crop: `crop < side` must hold, but got crop=4 for images of 4x8$"
    with pytest.raises(SettingError, match=message):
        Augment(AugmentConfig(crop=4), (1, 4, 8))
