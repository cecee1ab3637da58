import copy

import pytest
import torch
from torch import Tensor, nn

from trainables.averaging import Average


def walk(module: nn.Module, average: Average, steps: int) -> list[dict[str, Tensor]]:
    """Some training that changes weights and statistics; what they were after each step."""
    seen, inputs = [], torch.Generator().manual_seed(1)
    for _ in range(steps):
        module.zero_grad()
        module(torch.rand(8, 3, generator=inputs)).square().sum().backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= 0.1 * parameter.grad
        average.update()
        seen.append(copy.deepcopy(module.state_dict()))
    return seen


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_is_the_recursion_of_its_definition() -> None:
    module = network()
    expected = copy.deepcopy(module.state_dict())
    average = Average(module, 0.6)
    for step, state in enumerate(walk(module, average, 12), 1):
        decay = min(0.6, (1 + step) / (10 + step))
        for name, value in state.items():
            real = value.is_floating_point()
            expected[name] = decay * expected[name] + (1 - decay) * value if real else value
    for name, value in average.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6), name


def test_is_in_the_module_while_applied() -> None:
    module = network()
    average = Average(module, 0.9)
    last = walk(module, average, 3)[-1]
    averages = copy.deepcopy(average.state_dict())
    with average.applied():
        assert all(torch.equal(value, averages.get(name, value)) for name, value in module.state_dict().items())
    assert all(torch.equal(value, last[name]) for name, value in module.state_dict().items())
    assert all(torch.equal(value, averages[name]) for name, value in average.state_dict().items())


def test_goes_on_from_its_state() -> None:
    module = network()
    average = Average(module, 0.9)
    walk(module, average, 3)
    twin = copy.deepcopy(module)
    other = Average(twin, 0.9)
    other.load_state_dict(copy.deepcopy(average.state_dict()), average.steps)
    walk(module, average, 3)
    walk(twin, other, 3)
    for name, value in average.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_without_a_decay_there_is_nothing() -> None:
    module = network()
    average = Average(module, 0.0)
    weights = walk(module, average, 2)[-1]
    with average.applied():
        assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    assert average.state_dict() == {}


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.other.weight = self.one.weight
        self.register_buffer("whole", torch.zeros(4))
        self.register_buffer("upper", self.whole[:2])

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            self.whole.add_(1.0)
        return self.other(self.one(rows))


def test_shared_memory_is_averaged_once_and_comes_back() -> None:
    torch.manual_seed(0)
    module = Tied()
    average = Average(module, 0.9)
    live = walk(module, average, 3)[-1]
    with average.applied():
        assert module.other.weight is module.one.weight
        assert not torch.equal(module.one.weight, live["one.weight"])
        assert torch.equal(module.upper, module.whole[:2])
        assert 0 < module.upper[0] < 3
    assert all(torch.equal(value, live[name]) for name, value in module.state_dict().items())


def test_only_what_is_trained_or_a_statistic_is_averaged() -> None:
    module = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 4), nn.BatchNorm1d(4))
    average = Average(module, 0.9)
    with torch.no_grad():
        for value in module.state_dict().values():
            value.add_(1)
    average.update()
    with average.applied():
        changed = {
            name
            for name, value in module.state_dict().items()
            if not torch.equal(value, average.state_dict().get(name, value))
        }
    assert set(average.state_dict()) == {
        *("1.weight", "1.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var"),
    }
    assert changed == set(average.state_dict())


def test_infinite_values_stay_and_those_beside_them_are_averaged() -> None:
    module = nn.Module()
    module.register_buffer("limits", torch.tensor([float("-inf"), 0.0, float("inf"), float("nan"), -0.0]))
    average = Average(module, 0.9)
    module.limits[1] = 1.0
    average.update()
    with average.applied():
        first, second, *rest = module.limits.tolist()
    assert (first, rest[0]) == (float("-inf"), float("inf"))
    assert second == pytest.approx(9 / 11)
    assert str(rest[1:]) == "[nan, -0.0]"


def test_what_does_not_change_is_its_own_average_bit_for_bit() -> None:
    values = torch.tensor([-0.0, 0.0, 1 / 3, -torch.finfo().max, torch.finfo().tiny])
    module = nn.Module()
    module.register_buffer("constant", values.clone())
    average = Average(module, 0.99)
    for _ in range(30):
        average.update()
    with average.applied():
        assert torch.equal(module.constant.view(torch.int32), values.view(torch.int32))
