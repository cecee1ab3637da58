"""What is asked of a post-stage is checked before anything starts, and says where it is wrong."""

import re

import pytest

from orchestrator import SweepError, run
from orchestrator.compression import check_stage
from orchestrator.data_fit import check_data
from orchestrator.stage import StageConfig, load_stage
from orchestrator.sweep import dump_sweep, load_sweep
from search_spaces import Choice, Space, Uniform

SPACE = {"parameters": {"keep_macs": {"uniform": [0.1, 0.6]}, "loss": {"choice": ["kl", "dkd"]}}}


def test_a_stage_is_a_grid_of_sizes_or_a_search():
    assert StageConfig().keep_macs == (0.5, 0.25)
    searched = StageConfig.model_validate({"space": SPACE, "epochs": 3, "max_latency_ms": 2.0})
    assert searched.keep_macs is None
    assert searched.student.epochs == 3
    assert searched.space == Space({"keep_macs": Uniform(0.1, 0.6), "loss": Choice(("kl", "dkd"))})
    assert searched.bounds == {"max_latency_ms": 2.0}


def test_a_sweep_with_a_searched_stage_is_the_same_when_read_again(tiny, tmp_path):
    stage = {"space": SPACE, "search": {"name": "bayes", "trials": 9}, "asha": {"grace_period": 1}, "models": 4}
    sweep = tiny(compress={**stage, "limits": {"minutes": 5}, "max_accuracy_drop": 0.5})
    (tmp_path / "again.yaml").write_text(dump_sweep(sweep))
    assert load_sweep(tmp_path / "again.yaml") == sweep


def test_a_plan_in_a_file_is_called_as_the_file_is(tmp_path):
    (tmp_path / "tiny.yaml").write_text("{keep_macs: [0.3], epochs: 2}")
    assert load_stage(tmp_path / "tiny.yaml").name == "tiny"
    (tmp_path / "tiny.yaml").write_text("{name: small, keep_macs: [0.3]}")
    assert load_stage(tmp_path / "tiny.yaml").name == "small"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_mac: [0.5]", "keep_mac: unknown key; did you mean 'keep_macs'?"),
        ("name: a/b", "name: must be up to 200 letters"),
        ("[1]", "must hold a mapping, but got [1]"),
        ("a: [", "tiny.yaml: "),
        ("max_latency_ms: 0", "max_latency_ms: must be more than 0, but got 0"),
    ],
)
def test_what_is_wrong_in_a_plans_file_is_named(tmp_path, text, message):
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    with pytest.raises(SweepError, match=re.escape(message)):
        load_stage(path)


def test_a_plan_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SweepError, match=r"gone\.yaml: cannot be read: no such file"):
        load_stage(tmp_path / "gone.yaml")


WRONG = [
    ({"search": {"name": "bayes", "trials": 3}}, "search: must be left out unless there is a space"),
    ({"asha": {}}, "asha: must be left out unless there is a space"),
    ({"space": SPACE, "keep_macs": [0.5]}, "keep_macs: must be left out where there is a space"),
    ({"space": {"parameters": {"parent": {"choice": ["0001"]}}}}, "space.parameters.parent: must be no name"),
    ({"space": SPACE, "search": {"trials": 4, "repeats": 2}}, "search.repeats: must be left out"),
    ({"space": SPACE, "search": {"trials": 4}, "asha": {"grace_period": 99}}, "asha.grace_period: must be at most"),
    ({"space": {"parameters": {"temprature": {"uniform": [1, 4]}}}}, "temprature: unknown key"),
    (
        {"space": {"parameters": {"epochs": {"int": [1, 9]}, "steps": {"int": [1, 3]}}}},
        "steps: must be at most epochs, 1, but got",
    ),
    ({"teachers": 2, "best": 1}, "compress.teachers: must be at most compress.best, 1, but got 2"),
    (
        {"space": {"parameters": {"teachers": {"int": [0, 3]}}}},
        "compress.space.parameters.teachers: must be at most compress.best, 2, but got 3",
    ),
    ({"architecture": {"name": "mlpp"}}, "compress.architecture.name: must be one of"),
    ({"augment": {"erse": 0.1}}, "compress.augment.erse: unknown key; did you mean 'erase'?"),
    ({"augment": {"crop": 8}}, "compress.augment.crop: `crop < side` must hold, but got crop=8"),
    (
        {"space": {"parameters": {"augment.crop": {"int": [0, 9]}}}},
        "compress.space.parameters.augment.crop: `crop < side` must hold, but got crop=",
    ),
    ({"epoch": 3}, "compress.epoch: unknown key; did you mean 'epochs'?"),
    ({"student": {"epochs": 2, "steps": 3}}, "compress.student.steps: must be at most epochs, 2, but got 3"),
    ({"epochs": 2, "steps": 3}, "compress.steps: must be at most epochs, 2, but got 3"),
    ({"space": SPACE, "keep_macs": [0.5]}, "compress.keep_macs: must be left out where there is a space"),
    ({"space": {"parameters": {"temprature": {"uniform": [1, 4]}}}}, "compress.space.parameters.temprature: unknown"),
    ({"space": {"parameters": {"steps": {"int": [1, 4]}}}, "epochs": 2}, "compress.space.parameters.steps: must be at"),
    ({"space": {"parameters": {"lr": {"log_uniform": [0, 1]}}}}, "compress.space.parameters.lr.log_uniform: `low > 0`"),
    ({"space": SPACE, "asha": {"grace_period": 11}}, "compress.asha.grace_period: must be at most epochs, 10, but got"),
    ({"teachers": 5, "best": 5}, "compress.teachers: must be at most the trials that there are, 4, but got 5"),
    ({"space": SPACE, "search": {"trials": 2, "start": [{"keep_macs": 0.9}]}}, "compress.search.start.0"),
]


@pytest.mark.parametrize(("stage", "message"), WRONG)
def test_a_stage_that_cannot_be_is_refused_before_anything_starts(tiny, stage, message):
    with pytest.raises((SweepError, ValueError), match=re.escape(message)):
        run(tiny(compress=stage), quiet=True)


@pytest.mark.parametrize("loss", ["dkd", "dist", "logit_standard"])
def test_losses_of_classes_are_refused_where_values_are_predicted(tiny, tmp_path, loss):
    (tmp_path / "table.csv").write_text("\n".join(["x,value", *(f"{row % 7},{row / 7}" for row in range(60))]))
    train = {
        "data": {"name": "table", "path": str(tmp_path / "table.csv"), "target": "value"},
        "model": {"name": "mlp"},
    }
    sweep = {"train": {**train, "epochs": 4}, "metric": "val_r2", "compress": {"loss": loss}}
    with pytest.raises(SweepError, match=f"compress.loss: must be kl, hints or cross_entropy .* but got '{loss}'"):
        run(tiny(**sweep), quiet=True)


def test_students_need_not_have_the_layers_for_the_stages_of_their_parents(tiny, tmp_path):
    train = {"model": {"name": "mlp", "depth": 6}, "epochs": 4, "parallel": {"stages": 4}}
    architecture = {"architecture": {"name": "mlp", "depth": 1}}
    sweep = tiny(train=train, workers={"count": 4}, compress=architecture)
    check_stage(sweep, sweep.compress, check_data(sweep), tmp_path, parents=1)
