"""What happens to a batch, in its order. Drawing and applying are apart, so that workers can share one draw."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from trainables.augment.draws import Draws, Rows
from trainables.augment.geometry import Columns, affine, move, moves, resample
from trainables.augment.mixing import mix, shares
from trainables.augment.values import adjust, adjustments, erase, rectangles
from trainables.config import AugmentConfig
from trainables.errors import SettingError

_FOR_FEATURES = ("mixup",)
_STRENGTHS = [name for name in AugmentConfig.model_fields if name != "erase_area"]


class Augment:
    """Changes inputs of a shape, (C, H, W) or (F,). Raises SettingError for settings that do not suit it."""

    def __init__(self, config: AugmentConfig, input_shape: tuple[int, ...]) -> None:
        _check(config, input_shape)
        self.config, self._shape = config, input_shape
        self._moves = any((config.crop, config.flip, config.flip_vertical))
        self._resamples = any((config.rotate, config.shift, config.zoom, config.shear))
        self._adjusts = any((config.brightness, config.contrast))

    @property
    def mixes(self) -> bool:
        """Whether an input is mixed with the next one of its batch."""
        return self.config.mixup > 0 or self.config.cutmix > 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (B, C, H, W) to changed images of the same shape, not mixed."""
        return self.apply(images, Draws.of(len(images), generator))

    def plan(self, draws: Draws) -> Rows:
        """What the draws mean for each input, as numbers that each step takes its rows of."""
        config, columns = self.config, dict[str, Tensor]()
        if self._moves:
            columns |= moves(draws, config)
        if self._resamples:
            columns |= affine(draws, config, self._shape[1] / self._shape[2])
        if self._adjusts:
            columns |= adjustments(draws, config)
        if config.erase:
            columns |= rectangles(draws, config, *self._shape[1:])
        if self.mixes:
            columns |= shares(draws, config, self._shape)
        return _packed(columns, draws)

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Image i of (B, C, H, W) changed as row i of `draws` says, but not mixed."""
        return self.change(images, self.plan(draws).to(images.device))

    def change(self, images: Tensor, plan: Rows) -> Tensor:
        """As `apply`, by a plan where the images are."""
        if self._moves:
            images = move(images, plan, self.config)
        if self._resamples:
            images = resample(images, plan)
        if self._adjusts:
            images = adjust(images, plan)
        return erase(images, plan) if self.config.erase else images

    def mix(self, inputs: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Each of the first B of B + 1 inputs mixed with the one after it, as row i of B `draws` says.

        targets: (B + 1, K) probabilities or values. Returns B inputs and (B, K) targets.
        """
        return self.blend(inputs, targets, self.plan(draws).to(inputs.device))

    def blend(self, inputs: Tensor, targets: Tensor, plan: Rows) -> tuple[Tensor, Tensor]:
        """As `mix`, by a plan where the inputs are."""
        return mix(inputs, targets, plan, self.config)


def as_probabilities(targets: Tensor, classes: int) -> Tensor:
    """Labels (B,) as (B, classes) probabilities; values (B, 1) as they are."""
    return targets if targets.is_floating_point() else one_hot(targets, classes).float()


def _packed(columns: Columns, draws: Draws) -> Rows:
    """One table, so that a step looks its rows up at once."""
    if not columns:
        return Rows(draws.values[:, :0], ())
    return Rows(torch.stack(list(columns.values()), dim=1), tuple(columns))


def _check(config: AugmentConfig, input_shape: tuple[int, ...]) -> None:
    if len(input_shape) != 3:
        for name in _STRENGTHS:
            if getattr(config, name) and name not in _FOR_FEATURES:
                raise SettingError.at(f"augment.{name}", f"is for images, but the data has {input_shape[0]} features")
    elif config.crop >= min(input_shape[1:]):
        height, width = input_shape[1:]
        rule = f"`crop < side` must hold, but got crop={config.crop} for images of {height}x{width}"
        raise SettingError.at("augment.crop", rule)
