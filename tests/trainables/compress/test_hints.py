"""Features of student and teacher are paired by their size and compared through adapters that are dropped."""

from __future__ import annotations

import pytest
import torch

from tests.trainables.compress.networks import SHAPE, network
from trainables import mlp, resnet
from trainables.compress import Guided, HintError, frozen, prune

IMAGES = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def adapters(guided: Guided) -> list[tuple[str, int, int]]:
    shapes = [(type(one).__name__, tuple(one.weight.shape)) for one in guided.adapters]  # type: ignore[arg-type]
    return [(kind, shape[1], shape[0]) for kind, shape in shapes]


def test_maps_of_one_size_are_paired_and_those_before_the_first_layer_left_out() -> None:
    guided = Guided(resnet(SHAPE, 10, width=8), frozen(resnet(SHAPE, 10, width=16)), SHAPE)
    maps = [(8, 16), (16, 32), (32, 64), (32, 64)]
    assert adapters(guided) == [("Conv2d", *channels) for channels in maps]


def test_networks_without_maps_compare_their_last_hidden_features() -> None:
    guided = Guided(mlp(SHAPE, 10, width=12), frozen(mlp(SHAPE, 10, width=20, depth=3)), SHAPE)
    assert adapters(guided) == [("Linear", 12, 20)]


def test_networks_without_features_of_one_size_are_refused() -> None:
    with pytest.raises(HintError, match="features of one size in both networks: no maps against 8x8, 4x4, 2x2, 1x1"):
        Guided(mlp(SHAPE, 10), frozen(resnet(SHAPE, 10)), SHAPE)


def test_it_computes_what_the_student_does() -> None:
    student = network("own").eval()
    assert torch.equal(Guided(student, frozen(network("own")), SHAPE)(IMAGES), student(IMAGES))


def test_the_distance_is_a_fraction_of_the_features_mean_square() -> None:
    teacher = frozen(mlp(SHAPE, 10, width=6, depth=1))
    student = mlp(SHAPE, 10, width=4, depth=1).eval()
    guided = Guided(student, teacher, SHAPE)
    guided(IMAGES)
    teacher(IMAGES)
    adapter, mine, its = guided.adapters[0], student[:-1](IMAGES), teacher[:-1](IMAGES)  # type: ignore[index]
    expected = (adapter(mine) - its).square().mean() / its.square().mean()
    torch.testing.assert_close(guided.distance(), expected)


def test_student_and_adapters_learn_from_it_and_the_teacher_does_not() -> None:
    teacher = frozen(network("resnet"))
    student = prune(network("resnet"), SHAPE, 0.5)
    guided = Guided(student, teacher, SHAPE).train()
    optimizer = torch.optim.Adam(guided.parameters(), 0.01)
    distances = []
    for _ in range(8):
        guided(IMAGES)
        with torch.no_grad():
            teacher(IMAGES)
        distance = guided.distance()
        optimizer.zero_grad()
        torch.autograd.backward(distance)
        optimizer.step()
        distances.append(distance.item())
    assert distances[-1] < 0.7 * distances[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not [name for name in student.state_dict() if "adapter" in name]


def test_the_student_is_the_bare_network_again_after_each_call() -> None:
    student = network("resnet")
    guided = Guided(student, frozen(network("resnet")), SHAPE)
    guided(IMAGES)
    assert not any(module._forward_hooks for module in student.modules())


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e-3])
def test_features_of_a_teacher_that_are_nearly_zero_make_no_steep_gradients(scale: float) -> None:
    torch.manual_seed(0)
    teacher, student = mlp(SHAPE, 10, width=6, depth=1), mlp(SHAPE, 10, width=4, depth=1).eval()
    with torch.no_grad():
        teacher[1].weight *= scale  # type: ignore[index, operator]
    teacher = frozen(teacher)
    guided = Guided(student, teacher, SHAPE)
    guided(IMAGES)
    teacher(IMAGES)
    distance = guided.distance()
    torch.autograd.backward(distance)
    assert 0 <= distance.item() <= 11
    assert all(float(one.grad.norm()) < 100 for one in guided.parameters() if one.grad is not None)
