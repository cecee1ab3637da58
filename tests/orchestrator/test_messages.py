"""The messages of settings made in Python are those of YAML, wherever a mistake is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from orchestrator import AshaConfig, SearchConfig, StageConfig, Sweep, SweepError, WorkerConfig, load_sweep
from orchestrator.sections import FaultConfig, LimitConfig
from orchestrator.simulation.simulator import Simulation
from orchestrator.sweep import make_sweep
from search_spaces import Space, SpaceError, load_space, to_yaml
from trainables import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    SettingError,
    StoppingConfig,
    TrainConfig,
)
from trainables.compress import CompressPlan, StudentConfig, StudentTask
from trainables.config import ParallelConfig
from trainables.loop import LoopConfig

GOOD: dict[str, Any] = {
    "name": "x",
    "space": {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.1]}}},
    "search": {"name": "bayes", "trials": 3},
}
LOOP: dict[str, Any] = {
    "train": {"loop": "my:loop"},
    "metric": "loss",
    "mode": "min",
    "space": {"parameters": {"a": 1}},
}

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"nme": "x"}, "nme: unknown key; did you mean 'name'?"),
    ({"name": "a/b"}, "name: must be up to 200 letters"),
    ({"name": None}, "name: must be text, but got None"),
    ({"seed": -1}, "seed: must be at least 0, but got -1"),
    ({"storage": ""}, "storage: must be a path, but got ''"),
    ({"space": {"parameters": {"a": {"choice": []}}}}, "space.parameters.a.choice: `options` must be a list"),
    (
        {"space": {"parameters": {"a": [1, 2]}}},
        "space.parameters.a: must be a domain or a scalar, but got [1, 2]; write",
    ),
    ({"space": {"parameters": {"a": {"choice": [True, 1]}}}}, "space.parameters.a.choice: `options` must differ"),
    ({"space": {"parameters": {"a": {"choice": [1, math.nan]}}}}, "space.parameters.a.choice.1: must not be NaN"),
    ({"search": {"trails": 3}}, "search.trails: unknown key; did you mean 'trials'?"),
    ({"search": {"name": "bayse"}}, "search.name: must be 'bayes', 'random' or 'grid', but got 'bayse'; did you mean"),
    ({"search": {"trials": "3"}}, "search.trials: must be a whole number, but got '3'"),
    ({"search": {"trials": 3, "start": [{"optimizer.lr": 5}]}}, "search.start.0.optimizer.lr: must be in LogUniform"),
    ({"asha": {"grace_period": 0}}, "asha.grace_period: must be at least 1, but got 0"),
    ({"asha": 3}, "asha: must be a mapping such as {grace_period: 1}, but got 3"),
    ({"metric": "val_acc"}, "metric: must be one of"),
    ({"mode": "maximum"}, "mode: must be 'max' or 'min', but got 'maximum'; did you mean 'max'?"),
    ({"workers": {"gpus": 1.5}}, "workers.gpus: must be 0, a share"),
    ({"limits": {"minutes": math.inf}}, "limits.minutes: must be a finite number, but got inf"),
    ({"faults": {"retries": True}}, "faults.retries: must be a whole number, but got True"),
    ({"keep_checkpoints": 0}, "keep_checkpoints: must be at least 1, but got 0"),
    ({"train": {"data": {"drop": "hue"}}}, "train.data.drop: must be a list, but got 'hue'"),
    ({"train": {"optimizer": {"lrr": 1}}}, "train.optimizer.lrr: unknown key; did you mean 'lr'?"),
    ({"compress": {"epocs": 3}}, "compress.epocs: unknown key; did you mean 'epochs'?"),
    ({"compress": {"student": {"loss": "kll"}}}, "compress.student.loss: must be"),
    (LOOP | {"train": {"loop": "my:loop", "arguments": 3}}, "train.arguments: must be a mapping, but got 3"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_in_python_is_told_as_in_yaml(tmp_path, change, message):
    values = {**GOOD, **change}
    path = tmp_path / "sweep.yaml"
    path.write_text(to_yaml(values))
    told = []
    for make in (
        lambda: load_sweep(path),
        lambda: make_sweep(values),
        lambda: Sweep(**values),
        lambda: Sweep.model_validate(values),
    ):
        with pytest.raises(SweepError) as error:
            make()
        told.append(str(error.value).removeprefix(f"{path}: ").removeprefix("sweep: "))
    assert told[0].startswith(message)
    assert "pydantic" not in told[0]
    assert set(told) == {told[0]}


SECTIONS: list[tuple[type, dict[str, Any], str]] = [
    (SearchConfig, {"trails": 3}, "trails: unknown key; did you mean 'trials'?"),
    (AshaConfig, {"grace_period": 0}, "grace_period: must be at least 1, but got 0"),
    (WorkerConfig, {"cpus": "two"}, "cpus: must be a number, but got 'two'"),
    (LimitConfig, {"target": math.nan}, "target: must be a finite number, but got nan"),
    (FaultConfig, {"retry": 1}, "retry: unknown key; did you mean 'retries'?"),
    (
        StageConfig,
        {"best": 0, "epocs": 1},
        "best: must be at least 1, but got 0\nepocs: unknown key; did you mean 'epochs'?",
    ),
    (Simulation, {"workers": 1, "trials": 1, "epochs": 0}, "epochs: must be at least 1, but got 0"),
    (TrainConfig, {"optimizer": {"lr": 0}}, "optimizer.lr: must be more than 0, but got 0"),
    (TrainConfig, {"epochs": 3, "schedule": {"warmup": 3}}, "schedule: `warmup < epochs` must hold, but got 3 and 3"),
    (DataConfig, {"drop": "hue"}, "drop: must be a list, but got 'hue'"),
    (DataConfig, {"validation": 0.6, "test": 0.4}, "test: `validation + test < 1` must hold, but got 0.6 + 0.4"),
    (AugmentConfig, {"roate": 5}, "roate: unknown key; did you mean 'rotate'?"),
    (ModelConfig, {"name": 3}, "name: must be text, but got 3"),
    (
        OptimizerConfig,
        {"name": "adm"},
        "name: must be 'sgd', 'adam', 'adamw' or 'rmsprop', but got 'adm'; did you mean 'adam'?",
    ),
    (ScheduleConfig, {"gamma": 2.0}, "gamma: must be at most 1, but got 2.0"),
    (StoppingConfig, {"patience": 1.0}, "patience: must be a whole number, but got 1.0"),
    (ParallelConfig, {"stages": 2, "cut": ["a", "b"]}, "cut: must name stages - 1 layers, 1, but got ['a', 'b']"),
    (CompressPlan, {"keep_macs": 0.5}, "keep_macs: must be a list, but got 0.5"),
    (StudentConfig, {"keep_mac": 0.5}, "keep_mac: unknown key; did you mean 'keep_macs'?"),
    (StudentTask, {"run": "r", "parents": ["a"], "parent": 3}, "parent: must be text, but got 3"),
    (LoopConfig, {"loop": "a:b", "epochs": 0}, "epochs: must be at least 1, but got 0"),
]


@pytest.mark.parametrize(("section", "values", "message"), SECTIONS, ids=lambda value: getattr(value, "__name__", None))
def test_each_section_tells_its_mistakes_by_itself(section, values, message):
    for make in (lambda: section(**values), lambda: section.model_validate(values)):
        with pytest.raises((SweepError, SettingError)) as error:
            make()
        assert str(error.value) == message
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__


def test_a_mistake_in_a_space_is_told_alike():
    for make in (lambda: Space({"a": {1, 2}}), lambda: load_space({"parameters": {"a": {1, 2}}})):
        with pytest.raises(SpaceError, match=r"parameters\.a: must be a number, text, .* but got {1, 2}$"):
            make()


def test_numbers_of_numpy_are_numbers_in_every_setting():
    search, asha = (
        SearchConfig(trials=np.int64(3)),
        AshaConfig(grace_period=np.uint8(2), reduction_factor=np.float32(2)),
    )
    sweep = Sweep(**{**GOOD, "search": search, "asha": asha, "seed": np.int16(1), "concurrent": np.int64(2)})
    asked = {"search": {"trials": 3}, "asha": {"grace_period": 2, "reduction_factor": 2.0}, "seed": 1, "concurrent": 2}
    plain = Sweep(**{**GOOD, **asked})
    assert sweep == plain
    train = TrainConfig(seed=np.uint8(1), optimizer=OptimizerConfig(lr=np.float32(0.5)), compile=np.bool_(True))
    assert train == TrainConfig(seed=1, optimizer=OptimizerConfig(lr=0.5), compile=True)
    assert {type(train.seed), type(train.optimizer.lr), type(train.compile)} == {int, float, bool}
    assert ModelConfig(name="a:b", sizes=[np.int64(3)]).arguments == {"sizes": [3]}
