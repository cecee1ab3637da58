"""A sweep is the same from Python and YAML, and what is wrong with one is said in one line."""

import pytest
import yaml

from orchestrator.errors import SweepError
from orchestrator.sweep import AshaConfig, SearchConfig, Sweep, dump_sweep, load_sweep, make_sweep
from search_spaces import LogUniform, Space

GOOD = {
    "name": "x",
    "space": {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.1]}}},
    "search": {"name": "bayes", "trials": 3},
    "asha": {"grace_period": 2},
    "train": {"epochs": 8},
}


def lr(domain):
    return {"space": {"parameters": {"optimizer.lr": domain}}}


BAD = [
    ({"nme": 3}, "nme: unknown key; did you mean 'name'"),
    ({"search": {"name": "bayse", "trials": 3}}, "search.name:.*'bayse'; did you mean 'bayes'"),
    ({"search": {"trails": 3}}, "search.trails: unknown key; did you mean 'trials'"),
    ({"search": {"name": "bayes"}}, "search.trials: must be a number unless search.name is 'grid', but got None"),
    ({"search": {"name": "random", "trials": 0}}, "search.trials:.*but got 0"),
    ({"search": {"name": "grid"}}, "optimizer.lr: must have finitely many values.*Grid"),
    (lr({"log_uniform": [3, 0.1]}), "optimizer.lr.*`low < high` must hold, but got low=3"),
    (lr({"log_unform": [1e-3, 0.1]}), "optimizer.lr.*log_uniform"),
    (lr({"choice": []}), r"optimizer.lr.*but got \[\]"),
    (lr({"uniform": [-1, 1]}), "optimizer.lr: Input should be greater than 0, but got -1"),
    ({"space": {"parameters": {"optimizer.lrr": 0.1}}}, "space: optimizer.lrr: unknown key; did you mean 'lr'"),
    ({"space": {"parameters": {"model.widht": {"choice": [8, 16]}}}}, "space: model 'resnet'.*widht.*width"),
    ({"space": "image_clasifier"}, "'image_clasifier'; did you mean 'image_classifier'"),
    ({"metric": "val_acc"}, "metric: must be one of .*'val_acc'; did you mean 'val_accuracy'"),
    ({"mode": "maximum"}, "mode:.*'maximum'; did you mean 'max'"),
    ({"train": {"optimizer": {"nam": "sgd"}}}, "train: optimizer.nam: unknown key; did you mean 'name'"),
    ({"train": {"epochs": "many"}}, "train: epochs:.*but got 'many'"),
    ({"train": {"model": {"name": "nowhere:Net"}}}, "train: model.name 'nowhere:Net' cannot be imported"),
    ({"asha": {"grace_period": 100}}, "asha.grace_period: must be at most train.epochs, 8, but got 100"),
    ({"workers": {"count": "two"}}, "workers.count:.*but got 'two'"),
    ({"name": "../x"}, "name:.*but got '../x'"),
    ({"compress": {"keep_macs": [1.5]}}, "compress.keep_macs.0:.*but got 1.5"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_mistake_is_said_with_its_place_rule_and_value(change, message):
    with pytest.raises(SweepError, match=message) as error:
        make_sweep({**GOOD, **change})
    assert len(str(error.value).splitlines()) <= 3


def test_python_and_yaml_give_the_same_sweep(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    from_python = Sweep(
        name="x",
        space=Space({"optimizer.lr": LogUniform(1e-3, 0.1)}),
        search=SearchConfig(name="bayes", trials=3),
        asha=AshaConfig(grace_period=2),
        train={"epochs": 8},
    )
    assert load_sweep(path) == from_python


def test_a_written_sweep_loads_as_itself():
    sweep = make_sweep({**GOOD, "compress": {"keep_macs": [0.5]}, "asha": None})
    assert make_sweep(yaml.safe_load(dump_sweep(sweep))) == sweep


@pytest.mark.parametrize("name", ["digits", "digits-ddp", "digits-grid"])
def test_examples_are_sound(name):
    assert load_sweep(f"examples/{name}.yaml").name == name


def test_the_template_is_sound():
    assert load_sweep("orchestrator/template.yaml").name == "my-sweep"


def test_a_space_file_is_found_beside_the_sweep(tmp_path):
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(GOOD["space"]))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**GOOD, "space": "space.yaml"}))
    assert load_sweep(tmp_path / "sweep.yaml") == make_sweep(GOOD)


@pytest.mark.parametrize("text", ["a: [", "- 1", "name: x\nname: y", ""])
def test_a_file_that_is_no_mapping_is_an_error_naming_it(tmp_path, text):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(SweepError, match=r"sweep\.yaml"):
        load_sweep(tmp_path / "sweep.yaml")


def test_a_missing_file_is_an_error_naming_it(tmp_path):
    with pytest.raises(SweepError, match=r"none\.yaml: must be a readable YAML file"):
        load_sweep(tmp_path / "none.yaml")


def test_seeds_of_trials_come_from_the_sweep_unless_given():
    sweep = make_sweep({**GOOD, "seed": 7, "train": {"epochs": 8, "data": {"seed": 1}}})
    train = sweep.train_config({"optimizer.lr": 0.01})
    assert (train.seed, train.data.seed, train.optimizer.lr) == (7, 1, 0.01)
