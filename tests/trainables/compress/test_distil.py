"""A student's loss is its teacher's share and the task's own, and training back starts from fresh BatchNorm
statistics."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables import DataConfig, TrainConfig, Trainer, load_data, mlp
from trainables.compress import DistilError, Distillation, Ensemble, Guided, StudentConfig, frozen, kl, recalibrate
from trainables.objectives import squared_error

DATA = load_data(DataConfig())
SHAPE = DATA.input_shape

Batch = tuple[Tensor, Tensor, Tensor]


def config(loss: str, temperature: float, weight: float) -> StudentConfig:
    settings = {"loss": loss, "temperature": temperature, "distil_weight": weight}
    return StudentConfig.model_validate(settings)


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    trainer = Trainer(TrainConfig.of({"model": {"name": "mlp", "width": 32}, "epochs": 2}), DATA)
    list(trainer.epochs())
    return frozen(trainer.model)


@pytest.fixture
def batch() -> Batch:
    logits = torch.randn(16, 10, generator=torch.Generator().manual_seed(0))
    return logits, DATA.train.targets[:16], DATA.train.inputs[:16]


def test_the_loss_is_the_weighted_sum(teacher: nn.Module, batch: Batch) -> None:
    logits, labels, images = batch
    expected = 0.6 * kl(logits, teacher(images), labels, 3.0) + 0.4 * F.cross_entropy(logits, labels)
    torch.testing.assert_close(Distillation(teacher, config("kl", 3.0, 0.6))(*batch), expected)


def test_a_student_that_equals_the_teacher_has_nothing_to_learn(teacher: nn.Module, batch: Batch) -> None:
    _, labels, images = batch
    assert float(Distillation(teacher, config("kl", 4.0, 1.0))(teacher(images), labels, images)) == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize(("loss", "weight"), [("kl", 0.0), ("cross_entropy", 0.7)])
def test_without_a_teacher_it_is_cross_entropy(loss: str, weight: float, batch: Batch) -> None:
    logits, labels, _ = batch
    nobody = nn.Module()
    torch.testing.assert_close(Distillation(nobody, config(loss, 4.0, weight))(*batch), F.cross_entropy(logits, labels))


def test_mixed_targets_are_taken(teacher: nn.Module, batch: Batch) -> None:
    logits, labels, images = batch
    mixed = 0.7 * F.one_hot(labels, 10) + 0.3 * F.one_hot(labels.roll(1), 10)
    for loss in ("kl", "logit_standard", "dkd", "dist"):
        taught = Distillation(teacher, config(loss, 4.0, 0.5))(logits, mixed, images)
        assert taught.isfinite()


def test_the_objective_of_the_task_may_be_another(teacher: nn.Module, batch: Batch) -> None:
    objective = Distillation(teacher, config("kl", 4.0, 0.0), lambda outputs, targets, inputs: outputs.new_tensor(3.0))
    assert float(objective(*batch)) == 3


def test_hints_are_added_to_the_divergence(teacher: nn.Module, batch: Batch) -> None:
    _, labels, images = batch
    torch.manual_seed(0)
    guided = Guided(mlp(SHAPE, 10, width=16).eval(), teacher, SHAPE)
    logits = guided(images)
    teacher(images)
    distance = guided.distance()
    guided(images)
    expected = 0.5 * (kl(logits, teacher(images), labels, 4.0) + distance) + 0.5 * F.cross_entropy(logits, labels)
    objective = Distillation(teacher, config("hints", 4.0, 0.5), guided=guided)
    torch.testing.assert_close(objective(logits, labels, images), expected)


def test_only_the_student_learns(teacher: nn.Module, batch: Batch) -> None:
    logits, labels, images = batch
    logits.requires_grad_(True)
    torch.autograd.backward(Distillation(teacher, StudentConfig())(logits, labels, images))
    assert logits.grad is not None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())


def test_predicted_values_have_no_classes_to_compare() -> None:
    line = frozen(nn.Linear(3, 1))
    values, inputs = torch.zeros(4, 1), torch.ones(4, 3)
    taught = Distillation(line, config("kl", 4.0, 1.0), squared_error, unit=5.0)
    assert taught(values, values, inputs).isclose(line(inputs).square().mean() / 25)
    with pytest.raises(DistilError, match="loss: dkd compares classes; where a value is predicted, use kl or hints"):
        Distillation(line, config("dkd", 4.0, 1.0), squared_error)(values, values, inputs)


def test_an_ensemble_is_the_mean_of_its_probabilities() -> None:
    torch.manual_seed(0)
    members = [mlp(SHAPE, 10, width=8).eval() for _ in range(3)]
    images = DATA.train.inputs[:5]
    together = Ensemble(members).eval()(images).softmax(1)
    torch.testing.assert_close(together, torch.stack([one(images).softmax(1) for one in members]).mean(0))


def test_an_ensemble_of_values_is_their_mean() -> None:
    members = [nn.Linear(3, 1) for _ in range(2)]
    inputs = torch.rand(4, 3)
    torch.testing.assert_close(Ensemble(members)(inputs), (members[0](inputs) + members[1](inputs)) / 2)


def test_a_frozen_copy_leaves_its_model_alone() -> None:
    model = mlp(SHAPE, 10).train()
    copied = frozen(model)
    assert not copied.training
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


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
