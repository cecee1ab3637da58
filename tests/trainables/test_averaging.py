import copy

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
        assert all(torch.equal(value, averages[name]) for name, value in module.state_dict().items())
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
