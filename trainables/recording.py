"""Steps as CUDA graphs: what a step launches is recorded once and replayed by one call, at a fraction of the time that
Python takes to launch it.

A recorded step repeats what it launched, with the same tensors in the same places. So only steps that do the same each
time are recorded, which is watched in a step before: one that waits for the GPU may branch on a value, one that changes
an attribute of a module or draws from a generator of the CPU may do something else the next time. Such steps run as
they are, and one warning says why.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

WARM_UP = 3
"""Calls before a step is recorded, in which libraries allocate what they need; the last one is watched."""
_OF_TORCH = frozenset(vars(nn.Module()))
_DEPTH = 6

Step = Callable[[int], None]
"""Takes the next so many rows, and nothing but tensors that stay where they are."""


class RecordingWarning(UserWarning):
    """A step that runs without a graph, and the reason."""


class Recorder:
    """Calls steps, and on a GPU records and replays them. On a CPU, or switched off, it only calls.

    model: whose steps they are. rows: the numbers of rows of a batch that come often; others are not worth recording.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, records: bool, rows: Collection[int]) -> None:
        self._model, self._device = model, device
        self._records, self._rows = records and device.type == "cuda", frozenset(rows)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._calls: Counter[tuple[str, int]] = Counter()
        self._alike: set[tuple[str, int]] = set()
        self._graphs: dict[tuple[str, int], torch.cuda.CUDAGraph] = {}
        self.reason: str | None = None
        """Why nothing is recorded any more, if it is so."""

    @property
    def recorded(self) -> list[tuple[str, int]]:
        """Names and numbers of rows of the steps that are replayed."""
        return list(self._graphs)

    @contextmanager
    def working(self) -> Iterator[None]:
        """On a GPU, a stream of its own, in which all steps of a model are called."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        deterministic = torch.backends.cudnn.deterministic
        torch.backends.cudnn.deterministic = True  # an interrupted training is to be the uninterrupted one
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            torch.backends.cudnn.deterministic = deterministic
            torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def call(self, step: Step, rows: int) -> None:
        """Do what the step does with so many rows."""
        key = (step.__qualname__, rows)
        if not self._records or rows not in self._rows or self.reason is not None:
            step(rows)
        elif key in self._graphs:
            self._graphs[key].replay()
        elif key in self._alike:
            self._record(key, step)
        else:
            self._calls[key] += 1
            self._watch(key, step) if self._calls[key] >= WARM_UP else step(rows)

    def refuse(self, reason: str) -> None:
        """Record nothing any more, and say why."""
        if self._records and self.reason is None:
            self.release()
            self.reason = reason
            warnings.warn(f"train.compile: steps run without a graph, as {reason}", RecordingWarning, stacklevel=3)

    def release(self) -> None:
        """Give the memory of the graphs back. Steps that are called later are recorded anew."""
        if self._graphs:
            torch.cuda.synchronize(self._device)
            for graph in self._graphs.values():
                graph.reset()
            for parameter in self._model.parameters():
                parameter.grad = None
            self._graphs.clear()
            torch.cuda.empty_cache()
        self._calls.clear()
        self._alike.clear()

    def _watch(self, key: tuple[str, int], step: Step) -> None:
        """Once more if something was found, which another thread may have done."""
        with watched(self._model) as found, _waits(found):
            step(key[1])
        if not found:
            self._alike.add(key)
        elif self._calls[key] > WARM_UP:
            self.refuse(found[0])

    def _record(self, key: tuple[str, int], step: Step) -> None:
        graph, generator = torch.cuda.CUDAGraph(), torch.cuda.get_rng_state(self._device)
        try:
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                step(key[1])
        except Exception as error:  # whatever a user's module may raise, and what CUDA refuses
            _end_recording(graph, self._device, generator)
            self.refuse(f"recording failed with {type(error).__name__}: {str(error).splitlines()[0]}")
            step(key[1])
            return
        self._graphs[key] = graph
        graph.replay()


@contextmanager
def watched(model: nn.Module) -> Iterator[list[str]]:
    """Of a step inside: what a recorded one would not repeat, a list that is complete at the end."""
    found: list[str] = []
    generators, modules = _generators(), _attributes(model)
    yield found
    found += [f"a step draws from the {name}" for name, state in _generators().items() if state != generators[name]]
    for name, after in _attributes(model).items():
        before = modules.get(name, {})
        found += [f"a step changes {name}.{key}" for key in after if before.get(key, _Same(None)) != after[key]]


@contextmanager
def _waits(found: list[str]) -> Iterator[None]:
    """Adds to `found` where the step inside waits for the GPU."""
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for warning in caught:
        if "synchronizing CUDA operation" in str(warning.message):
            found.append(f"a step waits for the GPU ({warning.filename}:{warning.lineno})")
        elif "Synchronization debug mode" not in str(warning.message):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _end_recording(graph: torch.cuda.CUDAGraph, device: torch.device, generator: Tensor) -> None:
    """Take back what a recording that broke leaves behind: the allocator's pool, the generator's mode.

    generator: the state of the device's generator before it.
    """
    torch.cuda.synchronize(device)
    index = torch.cuda.current_device() if device.index is None else device.index
    with suppress(RuntimeError):  # if it was ended
        torch._C._cuda_endAllocateToPool(index, graph.pool())
    fresh = torch.Generator(device=f"cuda:{index}")
    torch.cuda.default_generators[index].graphsafe_set_state(fresh.graphsafe_get_state())
    torch.cuda.set_rng_state(generator, device)


def _generators() -> dict[str, Any]:
    """The states of the generators of the CPU."""
    _, keys, position, *_ = np.random.get_state(legacy=True)
    return {
        "generator of Python's random": random.getstate(),
        "generator of numpy": (keys.tobytes(), position),  # type: ignore[union-attr]
        "generator of torch on the CPU": torch.default_generator.get_state().numpy().tobytes(),
    }


def _attributes(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Of each module what it holds in attributes of its own, and which tensors its buffers are."""
    found = {}
    for name, module in model.named_modules():
        own = {key: _plain(value, _DEPTH) for key, value in vars(module).items() if key not in _OF_TORCH}
        buffers = {key: _Same(value) for key, value in module._buffers.items()}
        found[name or type(module).__name__] = own | buffers
    return found


class _Same:
    """Equal to another one of the same object, which is held so that no other gets its place."""

    def __init__(self, held: Any) -> None:
        self._held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._held is self._held

    def __hash__(self) -> int:
        return id(self._held)


def _plain(value: Any, depth: int) -> Any:
    """What can be compared: numbers and text, containers of them, attributes of objects; else the object itself."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return (type(value), repr(value))
    if isinstance(value, np.ndarray):
        return (_Same(value), value.tobytes())
    if isinstance(value, Tensor):
        # A recorded step would change no tensor of the CPU again.
        return (_Same(value), value._version if value.device.type == "cpu" else None)
    if isinstance(value, nn.Module) or not depth:
        return _Same(value)
    if isinstance(value, dict):
        return {id(key) if isinstance(key, Tensor) else repr(key): _plain(one, depth - 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [type(value), *(_plain(one, depth - 1) for one in value)]
    own = getattr(value, "__dict__", None)
    return (_Same(value), _plain(own, depth - 1)) if isinstance(own, dict) else _Same(value)
