"""Each loss is its paper's formula, written out row by row, and falls to nothing where student and teacher agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.compress import dist, dkd, kl, logit_standard
from trainables.compress.losses import STEEPEST, gentle

T = 3.0
LOSSES = {"kl": kl, "logit_standard": logit_standard, "dkd": dkd, "dist": dist}


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64) * 3
    return draw[0], draw[1], torch.tensor([0, 1, 2, 3, 0, 1])


def divergence(ours: Tensor, theirs: Tensor) -> Any:
    return sum(q * (q / p).log() for p, q in zip(ours, theirs, strict=True))


def test_kl(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    rows = [divergence((s / T).softmax(0), (t / T).softmax(0)) for s, t in zip(student, teacher, strict=True)]
    torch.testing.assert_close(kl(student, teacher, labels, T), T**2 * sum(rows) / 6)


def test_logit_standard(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch

    def standard(row: Tensor) -> Tensor:
        return ((row - row.mean()) / row.std() / T).softmax(0)

    rows = [divergence(standard(s), standard(t)) for s, t in zip(student, teacher, strict=True)]
    torch.testing.assert_close(logit_standard(student, teacher, labels, T), T**2 * sum(rows) / 6)


def test_dkd(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    total: Any = 0
    for s, t, label in zip(student, teacher, labels, strict=True):
        p, q = (s / T).softmax(0), (t / T).softmax(0)
        others = torch.arange(4) != label
        binary = divergence(torch.stack((p[label], p[others].sum())), torch.stack((q[label], q[others].sum())))
        total += binary + 2 * divergence(p[others] / p[others].sum(), q[others] / q[others].sum())
    torch.testing.assert_close(dkd(student, teacher, labels, T), T**2 * total / 6)


def test_dist(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    p, q = (student / T).softmax(1), (teacher / T).softmax(1)
    rows = sum(1 - torch.corrcoef(torch.stack((p[row], q[row])))[0, 1] for row in range(6)) / 6
    columns = sum(1 - torch.corrcoef(torch.stack((p[:, one], q[:, one])))[0, 1] for one in range(4)) / 4
    torch.testing.assert_close(dist(student, teacher, labels, T), T**2 * (rows + columns))


@pytest.mark.parametrize("name", LOSSES)
def test_agreement_costs_nothing_and_any_difference_does(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    assert float(LOSSES[name](teacher, teacher, labels, T)) == pytest.approx(0, abs=1e-9)
    assert float(LOSSES[name](student, teacher, labels, T)) > 0.1


def test_the_scale_of_logits_is_free_where_they_are_standardised(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    torch.testing.assert_close(
        logit_standard(5 * student + 1, teacher, labels, T), logit_standard(student, teacher, labels, T)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_targets_may_be_probabilities(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    mixed = 0.7 * torch.nn.functional.one_hot(labels, 4) + 0.3 * torch.nn.functional.one_hot(labels.roll(1), 4)
    assert torch.equal(LOSSES[name](student, teacher, mixed, T), LOSSES[name](student, teacher, labels, T))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_even_for_a_student_that_is_sure_and_wrong(name: str) -> None:
    student = torch.tensor([[200.0, 0.0, -200.0], [0.0, 0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[-200.0, 0.0, 200.0], [0.0, 0.0, 0.0]])
    loss = LOSSES[name](student, teacher, torch.tensor([2, 1]), 1.0)
    torch.autograd.backward(loss)
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_values_are_compared_by_their_squared_distance() -> None:
    assert float(kl(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [2.0]]), torch.zeros(2, 1), T)) == 2


DEGENERATE = {
    "zero": lambda rows, classes: torch.zeros(rows, classes),
    "equal": lambda rows, classes: torch.full((rows, classes), 7.3),
    "nearly equal": lambda rows, classes: 1e-6 * torch.randn(rows, classes),
    "constant rows": lambda rows, classes: torch.randn(rows, 1).expand(rows, classes),
    "constant columns": lambda rows, classes: torch.randn(1, classes).expand(rows, classes),
    "ordinary": lambda rows, classes: 3 * torch.randn(rows, classes),
    "sure": lambda rows, classes: 100.0 * torch.eye(max(rows, classes))[:rows, :classes],
    "huge": lambda rows, classes: 1e15 * torch.randn(rows, classes),
}
LOGITS = st.sampled_from(sorted(DEGENERATE))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(LOSSES)),
    ours=LOGITS,
    theirs=LOGITS,
    rows=st.sampled_from([1, 2, 8, 64]),
    classes=st.sampled_from([2, 3, 10, 50]),
    temperature=st.sampled_from([0.5, 1.0, 4.0, 20.0]),
)
def test_gradients_are_bounded_whatever_the_logits(
    name: str, ours: str, theirs: str, rows: int, classes: int, temperature: float
) -> None:
    torch.manual_seed(0)
    student = DEGENERATE[ours](rows, classes).clone().requires_grad_()
    teacher, labels = DEGENERATE[theirs](rows, classes), torch.randint(classes, (rows,))
    loss = LOSSES[name](student, teacher, labels, temperature)
    torch.autograd.backward(loss)
    assert loss.isfinite()
    assert student.grad is not None
    steepest = 50 * max(1, temperature**2)  # cross entropy's is 1.4; with an epsilon of 1e-8 it is 1e6 and more
    assert float(rows * student.grad.norm(dim=1).max()) <= steepest


@pytest.mark.parametrize("name", LOSSES)
def test_a_single_class_teaches_nothing_and_harms_nothing(name: str) -> None:
    student = torch.ones(3, 1, requires_grad=True)
    loss = LOSSES[name](student, torch.ones(3, 1), torch.zeros(3, dtype=torch.long), T)
    torch.autograd.backward(loss)
    assert loss.isfinite()
    assert student.grad is not None
    assert torch.equal(student.grad, torch.zeros(3, 1))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 65536.0])
def test_a_gentle_loss_differs_in_steep_gradients_only(name: str, scale: float, batch: tuple[Tensor, ...]) -> None:
    student, teacher, labels = batch
    slopes = []
    for steep in (1.0, 1000.0):

        def loss(*arguments: Any, steep: float = steep) -> Tensor:
            return steep * LOSSES[name](*arguments)

        plain, gentled = (student.clone().requires_grad_() for _ in range(2))
        whole, soft = loss(plain, teacher, labels, T), gentle(loss, gentled, teacher, labels, T)
        assert torch.equal(whole, soft)
        torch.autograd.backward((scale * whole, scale * soft))
        assert plain.grad is not None
        assert gentled.grad is not None
        norms = plain.grad.norm(dim=1, keepdim=True) / scale
        expected = plain.grad * (STEEPEST / 6 / norms).clamp_max(1)
        torch.testing.assert_close(gentled.grad, expected)
        slopes.append(float(norms.max()))
    assert slopes[0] < STEEPEST / 6 < slopes[1]
