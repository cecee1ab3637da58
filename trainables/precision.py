"""In which numbers a model's operations are computed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.backends.cpu import get_cpu_capability

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


def lay_out(inputs: Tensor, channels_last: bool) -> Tensor:
    """Images (B, C, H, W) in the order of memory that the model has; features as they are."""
    return inputs.to(memory_format=torch.channels_last) if channels_last and inputs.ndim == 4 else inputs


def takes_channels_last(module: nn.Module, config: TrainConfig, device: torch.device) -> bool:
    """For the shipped convolutions if not said otherwise: a user's code may count on the usual order (`view`).

    Never where oneDNN, by which CPUs convolve, would write beyond its memory in the backward pass
    (github.com/uxlfoundation/oneDNN/issues/6035).
    """
    wanted = config.model.name in _CONVOLUTIONS if config.channels_last is None else config.channels_last
    return wanted and not (device.type == "cpu" and any(_is_fatal(part) for part in module.modules()))


def _is_fatal(module: nn.Module) -> bool:
    """1x1 convolutions with a stride, of fewer channels than fill a vector register."""
    if not isinstance(module, nn.Conv2d) or set(module.kernel_size) != {1} or set(module.stride) == {1}:
        return False
    return module.in_channels // module.groups < (8 if get_cpu_capability() == "AVX2" else 16)
