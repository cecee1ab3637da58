import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from trainables import Schedule, ScheduleConfig

EPOCHS, STEPS = 12, 5
LOSSES = [1.0, 0.9, 0.91, 0.92, 0.90, 0.8, 0.79999, 0.85, 0.9, 0.9, 0.9, 0.7]


def optimizer() -> Optimizer:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)


def schedule(on: Optimizer, **config: Any) -> Schedule:
    return Schedule(on, ScheduleConfig(**config), lr=0.4, epochs=EPOCHS, steps_per_epoch=STEPS)


def rates(on: Optimizer, step: Callable[[], None], end_epoch: Callable[[float], None]) -> list[float]:
    """The rate of every step."""
    seen = []
    for loss in LOSSES:
        for _ in range(STEPS):
            seen.append(on.param_groups[0]["lr"])
            on.step()
            step()
        end_epoch(loss)
    return seen


def ours(**config: Any) -> list[float]:
    on = optimizer()
    made = schedule(on, **config)
    return rates(on, made.step, made.end_epoch)


def torchs(make: Callable[[Optimizer], LRScheduler], *, by_epoch: bool = False) -> list[float]:
    on = optimizer()
    made = make(on)
    if by_epoch:
        return rates(on, lambda: None, lambda _: made.step())
    return rates(on, made.step, lambda _: None)


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "cosine", "one_cycle", "plateau"])
@pytest.mark.parametrize("warmup", [0, 2])
def test_an_epochs_rates_are_those_of_its_steps(name: str, warmup: int) -> None:
    on = optimizer()
    made, seen = schedule(on, name=name, warmup=warmup, patience=1), list[float]()
    for loss in LOSSES:
        seen += made.take(STEPS)
        made.end_epoch(loss)
    assert seen == ours(name=name, warmup=warmup, patience=1)


def test_a_rate_that_is_a_tensor_stays_the_same_one() -> None:
    rate = torch.tensor(0.0)
    on = SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    made = schedule(on, name="cosine")
    made.take(7)
    assert on.param_groups[0]["lr"] is rate
    assert float(rate) == pytest.approx(made.lr)


def test_constant() -> None:
    assert ours(name="constant") == [0.4] * (EPOCHS * STEPS)


def test_step_is_torchs() -> None:
    expected = torchs(lambda on: StepLR(on, step_size=3, gamma=0.5), by_epoch=True)
    assert ours(name="step", step_size=3, gamma=0.5) == pytest.approx(expected)


def test_exponential_is_torchs() -> None:
    expected = torchs(lambda on: ExponentialLR(on, gamma=0.8), by_epoch=True)
    assert ours(name="exponential", gamma=0.8) == pytest.approx(expected)


def test_cosine_is_torchs() -> None:
    expected = torchs(lambda on: CosineAnnealingLR(on, T_max=EPOCHS * STEPS))
    assert ours(name="cosine") == pytest.approx(expected)
    assert expected[0] > expected[-1] > 0


@pytest.mark.parametrize("warmup", [0, 2, 5])
def test_one_cycle_is_torchs(warmup: int) -> None:
    def cycle(on: Optimizer) -> LRScheduler:
        climb = warmup / EPOCHS or 0.3
        return OneCycleLR(on, max_lr=0.4, total_steps=EPOCHS * STEPS, pct_start=climb, cycle_momentum=False)

    expected = torchs(cycle)
    assert ours(name="one_cycle", warmup=warmup) == pytest.approx(expected)
    assert max(expected) == pytest.approx(0.4, rel=0.02)


def test_one_cycle_whose_climb_is_one_step_begins_at_the_top() -> None:
    on = optimizer()
    made = Schedule(on, ScheduleConfig(name="one_cycle", warmup=1), lr=0.4, epochs=3, steps_per_epoch=1)
    seen = [made.lr]
    for _ in range(2):
        made.step()
        seen.append(made.lr)
    assert seen[0] == 0.4 > seen[1] > seen[2] > 0


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_plateau_is_torchs(patience: int) -> None:
    on = optimizer()
    made = ReduceLROnPlateau(on, factor=0.5, patience=patience)
    expected = rates(on, lambda: None, made.step)
    assert ours(name="plateau", gamma=0.5, patience=patience) == pytest.approx(expected)
    assert expected[-1] < expected[0]


def test_a_warm_up_is_torchs_line_before_the_schedule() -> None:
    def warm(on: Optimizer) -> LRScheduler:
        steps = 2 * STEPS
        climb = LinearLR(on, start_factor=1 / (steps + 1), total_iters=steps)
        return SequentialLR(on, [climb, CosineAnnealingLR(on, T_max=EPOCHS * STEPS - steps)], milestones=[steps])

    assert ours(name="cosine", warmup=2) == pytest.approx(torchs(warm))


@pytest.mark.parametrize("name", ["constant", "step", "exponential"])
def test_a_schedule_begins_after_its_warm_up(name: str) -> None:
    late = ours(name=name, warmup=2, step_size=3, gamma=0.5)[2 * STEPS :]
    assert late == pytest.approx(ours(name=name, step_size=3, gamma=0.5)[: -2 * STEPS])


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "cosine", "one_cycle", "plateau"])
def test_goes_on_from_its_state(name: str) -> None:
    config = {"name": name, "patience": 0, "gamma": 0.5, "step_size": 2, "warmup": 1}
    whole, second = optimizer(), optimizer()
    one, other = schedule(whole, **config), schedule(second, **config)
    for epoch, loss in enumerate(LOSSES):
        if epoch == 7:
            other.load_state_dict(copy.deepcopy(one.state_dict()))
        for _ in range(STEPS):
            if epoch >= 7:
                assert other.lr == one.lr == second.param_groups[0]["lr"] == whole.param_groups[0]["lr"]
                other.step()
            one.step()
        one.end_epoch(loss)
        if epoch >= 7:
            other.end_epoch(loss)
