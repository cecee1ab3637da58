"""Each loss is its paper's formula, written out row by row, and falls to nothing where student and teacher agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.compress import dist, dkd, kl, logit_standard

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
        total += binary + 8 * divergence(p[others] / p[others].sum(), q[others] / q[others].sum())
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
