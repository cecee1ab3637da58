"""In which numbers a model's operations are computed."""

from __future__ import annotations

import torch

from trainables.config import TrainConfig

_CONVOLUTIONS = ("cnn", "resnet", "mobile")
_TYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def lower_precision(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """The type that autocast uses on the device; None for float32 throughout."""
    if config.precision != "auto":
        return _TYPES[config.precision]
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bfloat16 else None


def lay_out(inputs: torch.Tensor, channels_last: bool) -> torch.Tensor:
    """Images (B, C, H, W) in the order of memory that the model has; features as they are."""
    return inputs.to(memory_format=torch.channels_last) if channels_last and inputs.ndim == 4 else inputs


def has_channels_last(config: TrainConfig) -> bool:
    """For the shipped convolutions if not said otherwise: a user's code may count on the usual order (`view`)."""
    return config.model.name in _CONVOLUTIONS if config.channels_last is None else config.channels_last
