"""Which parameters weight decay shrinks: the weights of layers, not norms, biases and scales."""

from __future__ import annotations

import re

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.rnn import RNNBase, RNNCellBase
from torch.nn.utils.parametrize import ParametrizationList

_LAYERS = (
    *(nn.Linear, nn.Bilinear, _ConvNd, nn.Embedding, nn.EmbeddingBag),
    *(RNNBase, RNNCellBase, nn.MultiheadAttention),
)
_WEIGHT = re.compile(r"(weight|weight_[ih]h.*|weight_hr.*|\w*proj_weight)")
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_NORM = re.compile(r".*norm(\d?d)?", re.IGNORECASE)
_BIAS = {"bias", "biases"}
_SCALE = {"scale", "scales", "gain", "gains", "gamma", "gammas", "beta", "betas", "shift", "shifts", "temperature"}
_LISTS = (nn.ParameterList, nn.ParameterDict, ParametrizationList)


def decays(model: nn.Module) -> set[nn.Parameter]:
    """The parameters of `model` to which weight decay applies; one that modules share does if it does in any of them.

    By the kind of module that holds it, whatever its shape: the weights of linear, convolutional, recurrent, attention
    and embedding layers decay; norms (torch's, and classes with a name that ends in Norm) and biases do not. What
    another kind of module holds decays if it has two dimensions at least, those of size 1 left out, and its name does
    not say scale, gain, gamma, beta, shift or temperature.
    """
    modules = dict(model.named_modules())
    return {
        parameter
        for path, module in modules.items()
        for name, parameter in module.named_parameters(recurse=False)
        if _decays(*_holder(modules, path, name), parameter)
    }


def _holder(modules: dict[str, nn.Module], path: str, name: str) -> tuple[nn.Module, str]:
    """The module to which a parameter belongs and its name there, be it in a list or parametrised."""
    if not path or not isinstance(modules[path], _LISTS):
        return modules[path], name
    above, _, last = path.rpartition(".")
    if isinstance(modules[path], ParametrizationList):  # at module.parametrizations.weight
        above = above.rpartition(".")[0]
        return _holder(modules, above, last if name == "original" else f"{last}_{name}")
    return _holder(modules, above, f"{last}_{name}")


def _decays(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    if words & _BIAS:
        return False
    if isinstance(module, _LAYERS) and _WEIGHT.fullmatch(name):
        return True
    if isinstance(module, _NORMS) or _NORM.fullmatch(type(module).__name__):
        return False
    return sum(side > 1 for side in parameter.shape) >= 2 and not words & _SCALE
