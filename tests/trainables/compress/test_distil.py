"""Distillation follows its formula, and training back starts from fresh BatchNorm statistics."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from trainables import DataConfig, TrainConfig, Trainer, evaluate, load_data
from trainables.compress import CompressPlan, Distillation, distil, prune, recalibrate

TRAIN = TrainConfig.of({"model": {"name": "mlp", "width": 32}, "epochs": 5})
DATA = load_data(DataConfig())


Batch = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def parent() -> nn.Module:
    trainer = Trainer(TRAIN, DATA)
    list(trainer.epochs())
    return trainer.model


@pytest.fixture
def batch() -> Batch:
    return DATA.train.inputs[:16], DATA.train.targets[:16]


def test_a_student_that_equals_the_teacher_has_no_divergence(parent: nn.Module, batch: Batch) -> None:
    images, labels = batch
    logits = parent.eval()(images)
    assert Distillation(parent, 4.0, 1.0)(logits, labels, images).item() == pytest.approx(0, abs=1e-5)


def test_weight_zero_is_cross_entropy(parent: nn.Module, batch: Batch) -> None:
    images, labels = batch
    logits = torch.randn(16, 10)
    torch.testing.assert_close(Distillation(parent, 4.0, 0.0)(logits, labels, images), F.cross_entropy(logits, labels))


def test_the_loss_is_the_published_formula(parent: nn.Module, batch: Batch) -> None:
    images, labels = batch
    logits, temperature, weight = torch.randn(16, 10), 3.0, 0.7
    teacher = (parent.eval()(images) / temperature).softmax(1)
    student = (logits / temperature).softmax(1)
    divergence = (teacher * (teacher / student).log()).sum(1).mean()
    expected = weight * temperature**2 * divergence + (1 - weight) * F.cross_entropy(logits, labels)
    torch.testing.assert_close(Distillation(parent, temperature, weight)(logits, labels, images), expected)


def test_only_the_student_learns(parent: nn.Module, batch: Batch) -> None:
    images, labels = batch
    parent.zero_grad()
    logits = torch.randn(16, 10, requires_grad=True)
    torch.autograd.backward(Distillation(parent, 4.0, 0.5)(logits, labels, images))
    assert logits.grad is not None
    assert all(parameter.grad is None for parameter in parent.parameters())


def test_recalibration_measures_the_statistics_and_changes_no_weight() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(1)
    model = nn.Sequential(norm, nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 10))
    torch.nn.init.constant_(norm.get_buffer("running_mean"), 9)
    weights = copy.deepcopy(dict(model.named_parameters()))
    recalibrate(model, DATA.train.inputs)
    torch.testing.assert_close(norm.running_mean, DATA.train.inputs.mean()[None], atol=1e-3, rtol=0)
    torch.testing.assert_close(norm.running_var, DATA.train.inputs.var()[None], atol=1e-3, rtol=0)
    assert norm.momentum == 0.1
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())


def test_recalibration_and_distillation_each_bring_accuracy_back(parent: nn.Module) -> None:
    student = prune(parent, DATA.input_shape, 0.5)
    cut = evaluate(student, DATA.validation)[0]
    recalibrate(student, DATA.train.inputs)
    recalibrated = evaluate(student, DATA.validation)[0]
    before = copy.deepcopy(parent.state_dict())
    metrics = distil(student, parent, DATA, CompressPlan(epochs=3), TRAIN)
    distilled, accuracy = evaluate(student, DATA.validation)
    assert distilled < recalibrated < cut
    assert accuracy > 0.9
    assert len(metrics) == 3
    assert distilled == pytest.approx(min(m.val_loss for m in metrics))
    assert all(torch.equal(value, before[name]) for name, value in parent.state_dict().items())


def test_same_seed_same_student_and_a_frozen_one_trains_too(parent: nn.Module) -> None:
    pruned = prune(parent, DATA.input_shape, 0.5)
    first, second = copy.deepcopy(pruned), copy.deepcopy(pruned).requires_grad_(False)
    for student in (first, second):
        distil(student, parent, DATA, CompressPlan(epochs=1), TRAIN)
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in second.state_dict().items())
