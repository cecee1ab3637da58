"""A student is cut, taught and saved epoch by epoch, and an interruption changes nothing of it."""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from trainables import (
    AugmentConfig,
    DataConfig,
    Dataset,
    Diverged,
    EpochMetrics,
    Split,
    TrainConfig,
    Trainer,
    build_model,
    evaluate,
    load_checkpoint,
    load_data,
    save_checkpoint,
)
from trainables.compress import (
    DistilError,
    Ensemble,
    Parent,
    PruneError,
    StudentConfig,
    StudentTrainer,
    cost,
    make_student,
    prune,
    recalibrate,
)

DATA = load_data(DataConfig())
TRAIN = TrainConfig.of({"model": {"name": "mlp", "width": 32}, "epochs": 5})

WAYS: dict[str, dict[str, Any]] = {
    "kl": {},
    "hints": {"loss": "hints"},
    "steps": {"steps": 2, "loss": "dist", "keep_macs": 0.3},
    "sparse": {"keep_macs": None, "sparsity": 0.8},
    "both": {"steps": 2, "sparsity": 0.5, "loss": "hints", "scope": "local"},
    "taylor": {"importance": "taylor", "target": "parameters"},
    "architecture": {"architecture": {"name": "mlp", "width": 12}, "loss": "dkd"},
    "augment": {"augment": {"shift": 0.1, "mixup": 0.2}},
}


@pytest.fixture(scope="module")
def parent() -> Parent:
    trainer = Trainer(TRAIN, DATA)
    list(trainer.epochs())
    return Parent(trainer.model, TRAIN)


def share(student: nn.Module, parent: Parent) -> float:
    return cost(student, DATA.input_shape).macs / cost(parent.model, DATA.input_shape).macs


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@dataclass(frozen=True)
class Uninterrupted:
    """A student that was trained at once, with its checkpoint of each epoch in `folder`."""

    student: StudentTrainer
    history: list[EpochMetrics]
    folder: Path


@pytest.fixture(scope="module", params=list(WAYS))
def uninterrupted(
    request: pytest.FixtureRequest, parent: Parent, tmp_path_factory: pytest.TempPathFactory
) -> Uninterrupted:
    folder, history = tmp_path_factory.mktemp("student"), []
    student = StudentTrainer(parent, DATA, StudentConfig.model_validate({"epochs": 4, **WAYS[request.param]}))
    for metrics in student.epochs():
        history.append(metrics)
        save_checkpoint(folder / f"{metrics.epoch}.pt", student.state_dict())
    return Uninterrupted(student, history, folder)


def timeless(history: list[EpochMetrics]) -> list[EpochMetrics]:
    return [replace(metrics, seconds=0, images_per_second=0) for metrics in history]


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_interrupted_is_uninterrupted(stop: int, uninterrupted: Uninterrupted, parent: Parent) -> None:
    whole = uninterrupted.student
    student = StudentTrainer(parent, DATA, whole.config)
    student.load_state_dict(load_checkpoint(uninterrupted.folder / f"{stop}.pt"))
    assert (student.epoch, student.finished) == (stop, stop == 4)
    rest = list(student.epochs())
    assert timeless(rest) == timeless(uninterrupted.history[stop:])
    assert [metrics.epoch for metrics in uninterrupted.history] == [1, 2, 3, 4]
    assert same(student.model, whole.model)
    assert student.widths == whole.widths


def test_a_student_has_changes_of_its_own_in_place_of_its_parents(parent: Parent) -> None:
    noisy = replace(parent, train=TRAIN.model_copy(update={"augment": AugmentConfig(mixup=1.0, shift=0.2)}))
    plain = make_student(parent, DATA, StudentConfig(epochs=1))
    assert same(make_student(noisy, DATA, StudentConfig(epochs=1, augment=AugmentConfig())), plain)
    assert not same(make_student(noisy, DATA, StudentConfig(epochs=1)), plain)


def test_recalibration_and_distillation_each_bring_accuracy_back(parent: Parent) -> None:
    cut = prune(parent.model, DATA.input_shape, 0.5)
    losses = [evaluate(cut, DATA.validation)[0]]
    recalibrate(cut, DATA.train.inputs)
    losses.append(evaluate(cut, DATA.validation)[0])
    student = StudentTrainer(parent, DATA, StudentConfig(epochs=3))
    metrics = list(student.epochs())
    loss, accuracy, _ = evaluate(student.model, DATA.validation)
    assert loss < losses[1] < losses[0]
    assert accuracy is not None
    assert accuracy > 0.9
    assert loss == pytest.approx(min(m.val_loss for m in metrics))


def test_the_parent_stays_as_it_is_even_if_it_is_frozen(parent: Parent) -> None:
    before = copy.deepcopy(parent.model.state_dict())
    loose, fixed = parent.model, copy.deepcopy(parent.model).requires_grad_(False)
    students = [
        make_student(replace(parent, model=model), DATA, StudentConfig(epochs=1, loss="hints"))
        for model in (loose, fixed)
    ]
    assert same(*students)
    assert share(students[0], parent) <= 0.5
    assert all(torch.equal(value, before[name]) for name, value in parent.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in fixed.parameters())


def test_each_step_cuts_by_the_same_factor_and_has_its_share_of_the_epochs(parent: Parent) -> None:
    student = StudentTrainer(parent, DATA, StudentConfig(keep_macs=0.25, steps=3, epochs=7, lr=0.01))
    shares = [share(student.model, parent) for _ in student.epochs()]
    assert shares == sorted(shares, reverse=True)
    assert [round(one, 1) for one in shares] == [0.6, 0.6, 0.4, 0.4, 0.2, 0.2, 0.2]
    assert shares[-1] <= 0.25


def test_only_epochs_of_the_whole_sparsity_can_be_the_best(parent: Parent) -> None:
    config = StudentConfig(keep_macs=None, sparsity=0.9, epochs=6, lr=0.001)
    student = StudentTrainer(parent, DATA, config)
    metrics = list(student.epochs())
    weights = torch.cat([weight.flatten() for weight in student.model.parameters() if weight.ndim >= 2])
    assert float((weights == 0).double().mean()) == pytest.approx(0.9, abs=1e-3)
    late = min(m.val_loss for m in metrics[3:])
    assert min(m.val_loss for m in metrics) < late
    assert evaluate(student.model, DATA.validation)[0] == pytest.approx(late)


def test_layers_to_be_kept_are_neither_cut_nor_thinned_out(parent: Parent) -> None:
    layer = next(name for name, module in parent.model.named_modules() if isinstance(module, nn.Linear))
    config = StudentConfig(keep_macs=0.8, sparsity=0.5, keep=(layer.removeprefix("network."),), epochs=1)
    with pytest.raises(PruneError, match="least possible"):
        make_student(parent, DATA, config.model_copy(update={"keep_macs": 0.1}))
    student = make_student(parent, DATA, config.model_copy(update={"keep_macs": None}))
    weights = dict(student.named_parameters())
    assert (weights[f"{layer}.weight"] != 0).all()
    assert any((weight == 0).any() for weight in weights.values())


def test_the_best_so_far_can_be_had_before_the_end(parent: Parent) -> None:
    student = StudentTrainer(parent, DATA, StudentConfig(epochs=3, loss="hints"))
    epochs = student.epochs()
    metrics = [next(epochs), next(epochs)]
    best = min(m.val_loss for m in metrics)
    assert evaluate(student.best(), DATA.validation)[0] == pytest.approx(best)
    assert student.best().state_dict().keys() == parent.model.state_dict().keys()


def test_an_ensemble_teaches(parent: Parent) -> None:
    torch.manual_seed(1)
    second = build_model(TRAIN.model, DATA)
    alone = make_student(parent, DATA, StudentConfig(epochs=1))
    together = make_student(parent, DATA, StudentConfig(epochs=1), teacher=Ensemble([parent.model, second]))
    assert not same(alone, together)
    guided = make_student(parent, DATA, StudentConfig(epochs=1, loss="hints"), teacher=Ensemble([parent.model, second]))
    assert guided.state_dict().keys() == alone.state_dict().keys()


@pytest.fixture
def values() -> Dataset:
    """Features and a value that depends on them, in large units."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 6, generator=generator)
    targets = 50 * (inputs[:, :1] - inputs[:, 1:2] * inputs[:, 2:3]) + 7
    train, rest = Split(inputs[:300], targets[:300]), Split(inputs[300:], targets[300:])
    return Dataset(
        train, rest, rest, (), inputs.mean(0), inputs.std(0), target_mean=targets.mean(0), target_std=targets.std(0)
    )


def test_predicted_values_are_taught(values: Dataset) -> None:
    config = TrainConfig.of({"model": {"name": "mlp", "width": 32}, "epochs": 12, "batch_size": 32})
    trainer = Trainer(config, values)
    list(trainer.epochs())
    parent = Parent(trainer.model, config)
    for loss in ("cross_entropy", "kl", "hints"):
        student = StudentTrainer(parent, values, StudentConfig.model_validate({"loss": loss, "epochs": 3}))
        *_, last = student.epochs()
        assert last.val_r2 is not None
        assert last.val_r2 > 0.5
        assert last.train_loss < 1
    taylor = StudentConfig(importance="taylor", sparsity=0.5, epochs=1)
    assert cost(make_student(parent, values, taylor), values.input_shape).macs < cost(parent.model, (6,)).macs
    with pytest.raises(DistilError, match="dist compares classes"):
        make_student(parent, values, StudentConfig(loss="dist"))


def test_examples_may_be_mixed_and_weights_averaged(parent: Parent) -> None:
    mixed = TrainConfig.of(
        {"model": {"name": "mlp", "width": 32}, "augment": {"mixup": 0.4, "cutmix": 1.0}, "ema": 0.9}
    )
    for loss in ("kl", "dkd", "hints"):
        config = StudentConfig.model_validate({"loss": loss, "epochs": 1})
        assert share(make_student(replace(parent, train=mixed), DATA, config), parent) <= 0.5


def test_the_control_differs_in_its_loss_only(parent: Parent) -> None:
    config = StudentConfig(epochs=1, loss="dkd", lr=0.01)
    assert config.control() == StudentConfig(epochs=1, loss="cross_entropy", lr=0.01)
    plain = StudentConfig(epochs=1, distil_weight=0.0, lr=0.01)
    assert same(make_student(parent, DATA, config.control()), make_student(parent, DATA, plain))


def test_divergence_tells_the_epoch_of_the_student(parent: Parent) -> None:
    student = StudentTrainer(parent, DATA, StudentConfig(steps=2, epochs=2))
    epochs = student.epochs()
    next(epochs)
    for value in student.state_dict()["trainer"]["best"].values():
        value.fill_(torch.nan if value.is_floating_point() else 0)
    with pytest.raises(Diverged, match="epoch 2"):
        next(epochs)


@pytest.mark.usefixtures("own_modules")
def test_all_ranks_cut_what_the_first_one_does(tmp_path: Path) -> None:
    settings = {"epochs": 2, "steps": 2, "loss": "hints", "sparsity": 0.5}
    mp.spawn(importlib.import_module("two_students").run, (tmp_path, settings), nprocs=2)
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert "least possible" in first["reason"]
    assert first["reason"] == second["reason"]
    assert first["losses"] == second["losses"]
    assert first["widths"] == second["widths"]
    assert all(torch.equal(value, second["state"][name]) for name, value in first["state"].items())


def test_hints_of_networks_that_have_nothing_in_common(parent: Parent) -> None:
    config = StudentConfig.model_validate({"architecture": {"name": "resnet", "width": 8}, "loss": "hints"})
    with pytest.raises(DistilError, match="features of one size"):
        make_student(parent, DATA, config)


def test_a_student_that_was_not_trained_has_no_state(parent: Parent) -> None:
    with pytest.raises(RuntimeError, match="train an epoch"):
        StudentTrainer(parent, DATA, StudentConfig()).state_dict()


def test_layers_that_were_left_are_known_after_an_interruption() -> None:
    layers = [nn.Flatten(), nn.Linear(64, 32), nn.Sigmoid(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)]
    swapped = Parent(nn.Sequential(*layers), TRAIN)
    first, second = (StudentTrainer(swapped, DATA, StudentConfig(keep_macs=0.8, epochs=2)) for _ in range(2))
    next(first.epochs())
    second.load_state_dict(first.state_dict())
    assert first.kept == second.kept == second.student("x", []).kept
    assert [line.partition(": ")[2][:2] for line in first.kept] == ["1:"]


HOT = {"dist": {"temperature": 20.0, "lr": 0.1}, "logit_standard": {"temperature": 1.0, "lr": 0.1}}


@pytest.mark.parametrize("loss", ["kl", "logit_standard", "dkd", "dist", "hints"])
@pytest.mark.parametrize("hot", [False, True])
def test_a_head_that_starts_at_zero_learns_from_a_teacher_as_well_as_without_one(
    loss: str, hot: bool, parent: Parent
) -> None:
    zero = {"name": "tests.trainables.compress.networks:zero_head"}
    settings = {"architecture": zero, "loss": loss, "epochs": 4, **(HOT.get(loss, {"lr": 0.1}) if hot else {})}
    config = StudentConfig.model_validate(settings)
    student, control = (make_student(parent, DATA, one) for one in (config, config.control()))
    accuracies = [evaluate(model, DATA.validation).accuracy or 0 for model in (student, control)]
    assert accuracies[0] > accuracies[1] - 0.05
    assert accuracies[1] > 0.75
