import pytest
import torch

from trainables import Augment, AugmentConfig, Dataset


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(**values: float) -> torch.Tensor:
    """One image's draw, 0.5 (no rotation, no shift, no crop move) except where said otherwise."""
    names = ("angle", "right", "down", "flip", "crop_right", "crop_down")
    return torch.tensor([[values.get(name, 0.5) for name in names]])


def test_switched_off_changes_nothing(digits: Dataset) -> None:
    images = digits.train.inputs[:16]
    assert torch.equal(Augment(AugmentConfig(shift=0))(images, generator()), images)


def test_same_generator_same_images(digits: Dataset) -> None:
    augment = Augment(AugmentConfig(rotate=20, shift=0.1, flip=0.5, crop=1))
    images = digits.train.inputs[:16]
    first = augment(images, generator())
    assert torch.equal(first, augment(images, generator()))
    assert not torch.equal(first, augment(images, generator(1)))
    assert first.shape == images.shape
    assert first.dtype == images.dtype


def test_a_slice_of_the_draw_gives_the_slice_of_the_images(digits: Dataset) -> None:
    augment = Augment(AugmentConfig(rotate=20, shift=0.1, flip=0.5, crop=2))
    images, drawn = digits.train.inputs[:16], augment.draw(16, generator())
    whole = augment.apply(images, drawn)
    assert torch.equal(augment.apply(images[5:11], drawn[5:11]), whole[5:11])


def test_each_image_has_its_own_change() -> None:
    image = torch.rand(1, 1, 8, 8, generator=generator()).expand(8, 1, 8, 8)
    changed = Augment(AugmentConfig(rotate=30, shift=0))(image, generator())
    assert len(changed.flatten(1).unique(dim=0)) == 8


def test_a_quarter_turn_keeps_every_pixel_of_a_square() -> None:
    image = torch.rand(1, 2, 8, 8, generator=generator())
    turned = Augment(AugmentConfig(rotate=90, shift=0)).apply(image, draws(angle=1.0))
    assert torch.allclose(turned, image.rot90(1, (2, 3)), atol=1e-5)


def test_a_quarter_turn_of_an_oblong_does_not_stretch() -> None:
    image = torch.zeros(1, 1, 4, 8)
    image[..., 1:3, 3:5] = 1.0
    turned = Augment(AugmentConfig(rotate=90, shift=0)).apply(image, draws(angle=1.0))
    assert torch.allclose(turned, image, atol=1e-5)


def test_shift_moves_right_and_down_by_a_fraction_of_the_side() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 2, 3] = 1.0
    moved = Augment(AugmentConfig(shift=0.25)).apply(image, draws(right=1.0, down=0.75))
    assert moved[0, 0].argmax() == 3 * 8 + 5
    assert float(moved.sum()) == pytest.approx(1.0, abs=1e-5)


def test_flip_is_a_mirror_with_its_probability() -> None:
    image = torch.rand(2000, 1, 2, 4, generator=generator())
    flipped = Augment(AugmentConfig(flip=0.25, shift=0))(image, generator())
    mirrored = (flipped == image.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped[~mirrored], image[~mirrored])
    assert float(mirrored.float().mean()) == pytest.approx(0.25, abs=0.04)


def test_crop_cuts_out_of_a_reflected_border() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    corner = Augment(AugmentConfig(crop=1, shift=0)).apply(image, draws(crop_right=0.0, crop_down=0.0))
    assert torch.equal(corner[0, 0, 0], torch.tensor([5.0, 4.0, 5.0, 6.0]))
    assert torch.equal(corner[0, 0, 1:, 1:], image[0, 0, :3, :3])
    centre = Augment(AugmentConfig(crop=1, shift=0)).apply(image, draws())
    assert torch.equal(centre, image)


def test_crop_reaches_every_offset() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8).expand(500, 1, 8, 8)
    corners = Augment(AugmentConfig(crop=2, shift=0))(image, generator())[:, 0, 4, 4]
    assert len(corners.unique()) == 25


def test_a_border_as_wide_as_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="`crop < side` must hold, but got crop=4 for images of 4x8"):
        Augment(AugmentConfig(crop=4, shift=0))(torch.zeros(1, 1, 4, 8), generator())
