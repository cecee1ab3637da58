"""What every student promises, however it is cut and taught and whatever network it is made of."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables.compress.networks import OwnNetwork
from trainables import DataConfig, TrainConfig, Trainer, build_model, evaluate, load_data
from trainables.compress import (
    Parent,
    StudentConfig,
    StudentTrainer,
    cost,
    load_pruned,
    load_weights,
    save_sparse,
)
from trainables.models.layers import Normalize

DATA = load_data(DataConfig())
SHAPE = DATA.input_shape

KINDS: dict[str, dict[str, Any] | None] = {
    "mlp": {"name": "mlp", "width": 32},
    "cnn": {"name": "cnn", "width": 8},
    "resnet": {"name": "resnet", "width": 8},
    "mobile": {"name": "mobile", "width": 8, "depth": 1},
    "own": None,
}
WAYS: dict[str, dict[str, Any]] = {
    "bn_scale": {"importance": "bn_scale"},
    "taylor, parameters": {"importance": "taylor", "target": "parameters"},
    "local, steps": {"scope": "local", "steps": 2},
    "cross_entropy": {"loss": "cross_entropy"},
    "logit_standard": {"loss": "logit_standard", "temperature": 2.0},
    "dkd": {"loss": "dkd", "distil_weight": 0.3},
    "dist": {"loss": "dist"},
    "hints": {"loss": "hints"},
    "sparse": {"keep_macs": None, "sparsity": 0.6},
    "pruned and sparse": {"sparsity": 0.5},
}


@dataclass(frozen=True)
class Made:
    """A trained student beside what it was made from."""

    parent: Parent
    config: StudentConfig
    trainer: StudentTrainer
    epochs: int


def fresh(kind: str) -> nn.Module:
    """The whole network as its code makes it."""
    shipped = KINDS[kind]
    if shipped is not None:
        return build_model(TrainConfig.of({"model": shipped}).model, DATA)
    return nn.Sequential(OrderedDict(normalize=Normalize(DATA.mean, DATA.std, SHAPE), network=OwnNetwork()))


@pytest.fixture(scope="module", params=list(KINDS))
def parent(request: pytest.FixtureRequest) -> tuple[str, Parent]:
    config = TrainConfig.of({"epochs": 6, "model": KINDS[request.param] or {}, "augment": {"shift": 0.0}})
    torch.manual_seed(0)
    trainer = Trainer(config, DATA, model=fresh(request.param))
    list(trainer.epochs())
    return request.param, Parent(trainer.model, config)


@pytest.fixture(scope="module", params=list(WAYS))
def made(request: pytest.FixtureRequest, parent: tuple[str, Parent]) -> Made:
    config = StudentConfig.model_validate({"epochs": 2, "lr": 0.02, **WAYS[request.param]})
    trainer = StudentTrainer(parent[1], DATA, config)
    return Made(parent[1], config, trainer, len(list(trainer.epochs())))


def test_it_is_as_small_as_asked(made: Made) -> None:
    before, after = cost(made.parent.model, SHAPE), cost(made.trainer.model, SHAPE)
    if made.config.prunes:
        left = after.macs / before.macs if made.config.target == "macs" else after.parameters / before.parameters
        assert 0.4 <= left <= 0.5
        assert after.macs < before.macs
    else:
        assert after == before


def test_as_many_weights_are_zero_as_asked(made: Made) -> None:
    if made.config.sparsity:
        weights = torch.cat([weight.flatten() for weight in made.trainer.model.parameters() if weight.ndim >= 2])
        assert float((weights == 0).double().mean()) == pytest.approx(made.config.sparsity, abs=1e-3)


def test_it_has_learnt(made: Made) -> None:
    assert made.epochs == 2
    assert made.trainer.finished
    assert evaluate(made.trainer.model, DATA.validation)[1] > 0.5


def test_it_can_be_loaded_without_its_parent_and_train_on(
    made: Made, parent: tuple[str, Parent], tmp_path: Path
) -> None:
    student = made.trainer.model
    save_sparse(student.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "widths.json").write_text(json.dumps(made.trainer.widths))
    widths = json.loads((tmp_path / "widths.json").read_text())
    loaded = load_pruned(fresh(parent[0]), widths, load_weights(tmp_path / "weights.safetensors"))
    assert evaluate(loaded, DATA.validation) == evaluate(student, DATA.validation)
    further = Trainer(made.parent.train.model_copy(update={"epochs": 1}), DATA, model=loaded)
    before = copy.deepcopy(loaded.state_dict())
    metrics = next(further.epochs())
    assert metrics.val_accuracy > 0.5
    assert any(not torch.equal(value, before[name]) for name, value in loaded.state_dict().items())
