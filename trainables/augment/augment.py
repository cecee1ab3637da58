"""What happens to a batch, in its order. Drawing and applying are apart, so that workers can share one draw."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from trainables.augment.draws import Draws
from trainables.augment.geometry import crop, flip, resample
from trainables.augment.mixing import beta, cut_boxes, mixup
from trainables.augment.values import adjust, erase
from trainables.config import AugmentConfig
from trainables.errors import SettingError

_FOR_FEATURES = ("mixup",)
_STRENGTHS = [name for name in AugmentConfig.model_fields if name != "erase_area"]


class Augment:
    """Changes inputs of a shape, (C, H, W) or (F,). Raises SettingError for settings that do not suit it."""

    def __init__(self, config: AugmentConfig, input_shape: tuple[int, ...]) -> None:
        _check(config, input_shape)
        self.config = config
        self._resamples = any((config.rotate, config.shift, config.zoom, config.shear))

    @property
    def mixes(self) -> bool:
        """Whether an input is mixed with the next one of its batch."""
        return self.config.mixup > 0 or self.config.cutmix > 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (B, C, H, W) to changed images of the same shape, not mixed."""
        return self.apply(images, Draws.of(len(images), generator))

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Image i of (B, C, H, W) changed as row i of `draws` says, but not mixed."""
        config = self.config
        if config.crop:
            images = crop(images, draws, config.crop)
        if config.flip:
            images = flip(images, draws["flip"], config.flip, side=-1)
        if config.flip_vertical:
            images = flip(images, draws["flip_vertical"], config.flip_vertical, side=-2)
        if self._resamples:
            images = resample(images, draws, config)
        if config.brightness or config.contrast:
            images = adjust(images, draws, config.brightness, config.contrast)
        if config.erase:
            images = erase(images, draws, config.erase, config.erase_area)
        return images

    def mix(self, inputs: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Each of the first B of B + 1 inputs mixed with the one after it, as row i of B `draws` says.

        targets: (B + 1, K) probabilities or values. Returns B inputs and (B, K) targets.
        """
        cuts = draws["mix_kind"] < self._cut_probability
        alphas = (self.config.mixup, self.config.cutmix)
        blended, left = (beta(draws["mix_share"], alpha) if alpha else torch.ones(len(draws)) for alpha in alphas)
        share = blended.to(inputs.device)
        mixed = mixup(inputs[:-1], inputs[1:], share)
        if self.config.cutmix:
            boxes = cut_boxes(tuple(inputs.shape), draws, left.to(inputs.device))
            cut = torch.where(boxes, inputs[1:], inputs[:-1])
            mixed = torch.where(cuts.view(-1, 1, 1, 1), cut, mixed)
            share = torch.where(cuts, 1 - boxes.float().mean(dim=(1, 2, 3)), share)
        return mixed, mixup(targets[:-1], targets[1:], share)

    @property
    def _cut_probability(self) -> float:
        if not self.config.cutmix:
            return 0.0
        return 0.5 if self.config.mixup else 1.0


def as_probabilities(targets: Tensor, classes: int) -> Tensor:
    """Labels (B,) as (B, classes) probabilities; values (B, 1) as they are."""
    return targets if targets.is_floating_point() else one_hot(targets, classes).float()


def _check(config: AugmentConfig, input_shape: tuple[int, ...]) -> None:
    if len(input_shape) != 3:
        for name in _STRENGTHS:
            if getattr(config, name) and name not in _FOR_FEATURES:
                raise SettingError.at(f"augment.{name}", f"is for images, but the data has {input_shape[0]} features")
    elif config.crop >= min(input_shape[1:]):
        height, width = input_shape[1:]
        rule = f"`crop < side` must hold, but got crop={config.crop} for images of {height}x{width}"
        raise SettingError.at("augment.crop", rule)
