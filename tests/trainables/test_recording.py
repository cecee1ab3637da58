"""What a recorded step would not repeat, found on any device; the recording itself is tested in tests/gpu."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from trainables import Dataset, SettingError, TrainConfig, Trainer
from trainables.recording import Recorder, watched
from trainables.step_values import StepValues

CPU = torch.device("cpu")


class Noted(nn.Module):
    """Does something of its own in each step."""

    def __init__(self, note: Callable[[Noted], Any]) -> None:
        super().__init__()
        self.layer, self.norm, self.note = nn.Linear(4, 4), nn.BatchNorm1d(4), note
        self.count, self.seen, self.known = 0, list[float](), {"calls": 0}
        self.array, self.plain, self.state = np.zeros(2), torch.zeros(2), SimpleNamespace(inner=SimpleNamespace(step=0))
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, rows: Tensor) -> Tensor:
        self.note(self)
        return self.norm(self.layer(rows))


def replace_buffer(module: Noted) -> None:
    module.mean = module.mean * 0.9


CHANGES: dict[str, tuple[Callable[[Noted], Any], str]] = {
    "a number": (lambda module: setattr(module, "count", module.count + 1), r"a step changes inner\.count"),
    "a list": (lambda module: module.seen.append(1.0), r"a step changes inner\.seen"),
    "a dict": (lambda module: module.known.update(calls=module.known["calls"] + 1), r"changes inner\.known"),
    "an array": (lambda module: module.array.__iadd__(1), r"changes inner\.array"),
    "a tensor": (lambda module: module.plain.add_(1), r"changes inner\.plain"),
    "another tensor": (lambda module: setattr(module, "plain", module.plain + 1), r"changes inner\.plain"),
    "an object's": (lambda module: module.state.inner.__dict__.update(step=1), r"changes inner\.state"),
    "a new one": (lambda module: setattr(module, "later", 1), r"changes inner\.later"),
    "another buffer": (replace_buffer, r"changes inner\.mean"),
    "python's random": (lambda module: random.random(), "draws from the generator of Python's random"),
    "numpy's": (lambda module: np.random.rand(), "draws from the generator of numpy"),
    "torch's": (lambda module: torch.rand(1), "draws from the generator of torch on the CPU"),
}


def found(note: Callable[[Noted], Any]) -> list[str]:
    model = nn.ModuleDict({"inner": Noted(note)})
    with watched(model) as reasons:
        model["inner"](torch.ones(3, 4)).sum().backward()
    return reasons


@pytest.mark.parametrize("change", CHANGES)
def test_a_step_that_may_do_something_else_the_next_time_is_found(change: str) -> None:
    note, message = CHANGES[change]
    (reason,) = found(note)
    assert re.search(message, reason)


def test_a_step_that_changes_parameters_and_statistics_alone_is_not() -> None:
    assert found(lambda module: module.mean.add_(1)) == []


def test_on_a_cpu_steps_are_called() -> None:
    recorder, rows = Recorder(nn.Linear(1, 1), CPU, records=True, rows=[3]), list[int]()

    def step(count: int) -> None:
        rows.append(count)

    with recorder.working():
        for count in (3, 3, 3, 3, 3, 2):
            recorder.call(step, count)
    assert rows == [3, 3, 3, 3, 3, 2]
    assert recorder.recorded == []
    recorder.release()


def test_steps_have_the_epochs_values_in_turn() -> None:
    values, optimizer = StepValues(CPU), SGD([nn.Parameter(torch.zeros(1))], lr=9.0)
    for epoch in range(2):
        rates, shares = [0.1 + epoch, 0.2, 1 / 3], [1.0, 0.5, 0.25]
        values.begin(rates, shares)
        for step, (rate, share) in enumerate(zip(rates, shares, strict=True)):
            values.next(optimizer)
            assert (optimizer.param_groups[0]["lr"], values.share) == (rate, share)
            values.record(torch.tensor(10.0 * epoch + step))
        assert values.losses.tolist() == [10.0 * epoch, 10.0 * epoch + 1, 10.0 * epoch + 2]


@pytest.mark.parametrize(("written", "meant"), [(False, "off"), (True, True), ("graph", "graph"), ("auto", "auto")])
def test_truth_values_of_earlier_versions_are_read(written: Any, meant: Any) -> None:
    config = TrainConfig.of({"compile": written})
    assert config.compile == meant
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("written", ["yes", "on", 1, 0, None, "Auto"])
def test_other_ways_to_compile_are_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="compile"):
        TrainConfig.of({"compile": written})


def test_graphs_of_stages_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be auto, off or true where parallel\.stages is above 1, but got graph"):
        TrainConfig.of({"compile": "graph", "parallel": {"stages": 2}})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_graph_without_a_gpu_is_refused(digits: Dataset) -> None:
    message = r"^compile: graph is for trials on a GPU, but this one runs on cpu; use auto$"
    with pytest.raises(SettingError, match=message):
        Trainer(TrainConfig.of({"model": {"name": "mlp"}, "compile": "graph"}), digits)
