"""Unstructured pruning: single weights become zero, little by little while the network trains.

The network keeps its shape, and runtimes multiply by zeros as well: what falls is the size of a sparse file, not the
latency.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from trainables.compress.plan import Scope
from trainables.storage import Place, read_bytes, write_bytes

UPDATES = 100
"""How often more weights become zero before the sparsity is reached, at most."""

_FORMAT = "halving-sparse-1"
_INDICES, _VALUES = ":indices", ":values"


class GradualSparsity:
    """Sets the smallest weights to zero, ever more of them over `steps` of the optimiser, and holds them there.

    The fraction climbs as a cube from 0 to `sparsity`: fast while many weights are not needed (Zhu and Gupta 2017,
    arXiv:1710.01878, equation 1). `weights`: the matrices and kernels concerned, by name.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter], sparsity: float, scope: Scope, steps: int) -> None:
        self._weights = dict(weights)
        self._sparsity, self._scope, self._steps = sparsity, scope, max(1, steps)
        self._every = -(-self._steps // UPDATES)
        self._done = 0
        self._masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in self._weights.items()}

    @property
    def settled(self) -> bool:
        """Whether all the weights that are to be zero are."""
        return self._done >= self._steps

    @torch.no_grad()
    def after_step(self) -> None:
        """To be called after each step of the optimiser."""
        if not self.settled:
            self._done += 1
            if self.settled or self._done % self._every == 0:
                self._prune(self._sparsity * (1 - (1 - self._done / self._steps) ** 3))
        for name, weight in self._weights.items():
            weight.mul_(self._masks[name])

    def _prune(self, fraction: float) -> None:
        """Choose the smallest weights anew; those that are zero already are among them."""
        together = [list(self._weights)] if self._scope == "global" else [[name] for name in self._weights]
        for names in together:
            sizes = torch.cat([(self._weights[name] * self._masks[name]).abs().flatten() for name in names])
            mask = torch.ones_like(sizes, dtype=torch.bool)
            mask[sizes.argsort(stable=True)[: round(fraction * len(sizes))]] = False
            parts = mask.split([self._masks[name].numel() for name in names])
            for name, part in zip(names, parts, strict=True):
                self._masks[name] = part.view_as(self._masks[name])

    def state_dict(self) -> dict[str, Any]:
        return {"done": self._done, "masks": self._masks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._done = state["done"]
        self._masks = {name: mask.to(self._masks[name].device) for name, mask in state["masks"].items()}


def prunable_weights(model: nn.Module, keep: Collection[str] = ()) -> dict[str, nn.Parameter]:
    """The matrices and kernels of a model, without those of the modules in `keep`."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim >= 2 and name.rpartition(".")[0] not in keep
    }


def save_sparse(tensors: Mapping[str, Tensor], path: Place) -> None:
    """Write a state dict as safetensors, in which a tensor that takes less so is its non-zero values and their places.

    `name:indices` are places in the flattened tensor, int16 or int32; the shapes are in the file's metadata.
    """
    stored, shapes = {}, {}
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().contiguous().flatten()
        kind = torch.int16 if len(flat) <= 2**15 else torch.int32
        indices = flat.nonzero().flatten()
        if len(indices) * (flat.element_size() + kind.itemsize) < len(flat) * flat.element_size():
            shapes[name] = list(tensor.shape)
            stored[name + _INDICES], stored[name + _VALUES] = indices.to(kind), flat[indices].clone()
        else:
            stored[name] = flat.clone().view(tensor.shape)
    write_bytes(path, safetensors.torch.save(stored, {"format": _FORMAT, "shapes": json.dumps(shapes)}))


def load_weights(path: Place) -> dict[str, Tensor]:
    """The state dict in a safetensors file, sparse or not. Raises ValueError if it is damaged, OSError if not there."""
    content = read_bytes(path)
    try:
        stored = safetensors.torch.load(content)
        return dict(_dense(stored, _shapes(content)))
    except (safetensors.SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no whole file of weights: {error}") from error


def _shapes(content: bytes) -> dict[str, list[int]]:
    """The shapes of the sparse tensors, from the header: eight bytes of its length, then JSON."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.get("__metadata__") or {}
    shapes: dict[str, list[int]] = json.loads(metadata.get("shapes", "{}")) if metadata.get("format") == _FORMAT else {}
    return shapes


def _dense(stored: Mapping[str, Tensor], shapes: Mapping[str, list[int]]) -> Iterator[tuple[str, Tensor]]:
    for name, shape in shapes.items():
        values = stored[name + _VALUES]
        tensor = torch.zeros(shape, dtype=values.dtype)
        tensor.view(-1)[stored[name + _INDICES].long()] = values
        yield name, tensor
    parts = {name + end for name in shapes for end in (_INDICES, _VALUES)}
    yield from ((name, tensor) for name, tensor in stored.items() if name not in parts)
