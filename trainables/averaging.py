"""Weight averaging: the moving average of the weights is evaluated and kept, since it varies less than they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainables.model_state import has_values


class Average:
    """The exponential moving average of a module's trained parameters and real or complex buffers.

    Of `decay` by step, but less in the beginning, min(decay, (1 + step) / (10 + step)), so that the first weights are
    soon forgotten. Frozen parameters and other buffers have no average; a buffer that does not change is its own, bit
    for bit, and so are infinite values, whose average is undefined. With a decay of 0 nothing is averaged, and nothing
    costs anything.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._places = _places(module) if decay else {}
        self._averages = {name: value.detach().clone() for name, value in zip(self._places, self._live(), strict=True)}
        finite = [bool(value.isfinite().all()) for value in self._averages.values()]
        self._plain = [place for place, is_finite in enumerate(finite) if is_finite]
        self._guarded = [place for place, is_finite in enumerate(finite) if not is_finite]

    def shares(self, updates: int) -> list[float]:
        """The shares of the present weights in the next updates, which count as made where something is averaged."""
        if not self.decay:
            return [1.0] * updates
        self.steps += updates
        steps = range(self.steps - updates + 1, self.steps + 1)
        return [1 - min(self.decay, (1 + step) / (10 + step)) for step in steps]

    def update(self) -> None:
        """Takes the present weights in; after each step."""
        self.take(*self.shares(1))

    @torch.no_grad()
    def take(self, share: float | Tensor) -> None:
        """Moves the averages to the present weights by that share of the way, a number or a scalar of the device."""
        if not self.decay:
            return
        averages, live = _real(self._averages.values()), _real(self._live())
        if self._plain:
            _approach([averages[one] for one in self._plain], [live[one] for one in self._plain], share)
        for one in self._guarded:
            mean = torch.lerp(averages[one], live[one], share)
            averages[one].copy_(torch.where(mean.isnan(), live[one], mean))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averages inside, and its own weights again after it; what is changed inside is kept."""
        self._settle()
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the module's names; shared parameters by their first one."""
        return self._averages

    def load_state_dict(self, averages: dict[str, Tensor], steps: int) -> None:
        self.steps = steps
        for name, value in self._averages.items():
            value.copy_(averages[name])

    def _live(self) -> list[Tensor]:
        """As they are now: a module may put another tensor in a buffer's place."""
        return [held[key] for held, key in self._places.values()]

    @torch.no_grad()
    def _settle(self) -> None:
        """The average of -0 is 0, which is equal but has other bits: what has not changed stays as it is."""
        for average, live in zip(self._averages.values(), self._live(), strict=True):
            average.copy_(torch.where(average == live, live, average))

    @torch.no_grad()
    def _swap(self) -> None:
        """First all are read, then all are written, since some may share memory."""
        kept = [live.clone() for live in self._live()]
        for live, average in zip(self._live(), self._averages.values(), strict=True):
            live.copy_(average)
        for average, own in zip(self._averages.values(), kept, strict=True):
            average.copy_(own)


def _approach(averages: list[Tensor], live: list[Tensor], share: float | Tensor) -> None:
    if not isinstance(share, Tensor):
        torch._foreach_lerp_(averages, live, share)
        return
    # torch's lerp of many tensors takes no scalar of the device.
    steps = torch._foreach_sub(live, averages)
    torch._foreach_mul_(steps, share)
    torch._foreach_add_(averages, steps)


def _places(module: nn.Module) -> dict[str, tuple[dict[str, Tensor], str]]:
    """By name, the dict and key in a submodule at which a tensor with an average is found; shared ones come once."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    names = trained | {name for name, _ in module.named_buffers()}
    found: dict[str, tuple[dict[str, Tensor], str]] = {}
    for prefix, part in module.named_modules():
        for held in (part._parameters, part._buffers):
            for key, value in held.items():
                name = f"{prefix}.{key}" if prefix else key
                if name in names and value is not None and _has_mean(value):
                    found[name] = (held, key)
    return found


def _has_mean(value: Tensor) -> bool:
    return has_values(value) and (value.is_complex() or (value.is_floating_point() and value.itemsize > 1))


def _real(values: Iterable[Tensor]) -> list[Tensor]:
    """Complex numbers as pairs of real ones, in the same memory."""
    return [torch.view_as_real(value) if value.is_complex() else value for value in values]
