"""In which numbers a model's operations are computed."""

from __future__ import annotations

import torch
from torch import nn

from trainables.config import TrainConfig

_CONVOLUTIONS = ("cnn", "resnet", "mobile")
_FEWEST_CHANNELS = 8
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


def has_channels_last(config: TrainConfig, model: nn.Module, device: torch.device) -> bool:
    """Whether images lie in memory with their channels last, which convolutions are faster with.

    For the shipped convolutions if not said otherwise: a user's code may count on the usual order (`view`). On CPUs not
    for a model with a strided convolution of 1x1 and few channels, even if it is asked for.
    """
    wanted = config.model.name in _CONVOLUTIONS if config.channels_last is None else config.channels_last
    return wanted and not (device.type == "cpu" and any(map(_breaks, model.modules())))


def _breaks(module: nn.Module) -> bool:
    """Whether its gradients would be written beyond their memory: torch 2.13 does so, seen with up to 6 channels."""
    if not isinstance(module, nn.Conv2d) or module.in_channels // module.groups >= _FEWEST_CHANNELS:
        return False
    return module.kernel_size == (1, 1) and module.stride != (1, 1)
