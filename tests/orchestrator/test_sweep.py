"""A sweep is the same from Python and YAML, and what is wrong with one is said in one line."""

import math
from pathlib import Path

import pytest
import yaml

from orchestrator.errors import SweepError
from orchestrator.run_folder import open_run
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


def rules(*constraints):
    return {"space": {**lr({"log_uniform": [1e-3, 0.1]})["space"], "constraints": list(constraints)}}


BAD = [
    ({"nme": 3}, "nme: unknown key; did you mean 'name'"),
    ({"search": {"name": "bayse", "trials": 3}}, "search.name:.*'bayse'; did you mean 'bayes'"),
    ({"search": {"trails": 3}}, "search.trails: unknown key; did you mean 'trials'"),
    ({"search": {"name": "bayes"}}, "search.trials: must be a number unless search.name is 'grid', but got None"),
    ({"search": {"name": "random", "trials": 0}}, "search.trials:.*but got 0"),
    ({"search": {"name": "grid"}}, r"space\.parameters\.optimizer\.lr: must have finitely many values.*Grid"),
    (lr({"log_uniform": [3, 0.1]}), "optimizer.lr.*`low < high` must hold, but got low=3"),
    (lr({"log_unform": [1e-3, 0.1]}), "optimizer.lr.*log_uniform"),
    (lr({"choice": []}), r"optimizer.lr.*but got \[\]"),
    (lr({"uniform": [-1, 1]}), r"^sweep: space\.parameters\.optimizer\.lr: must be more than 0, but got -1"),
    (
        {"space": {"parameters": {"optimizer.lrr": 0.1}}},
        r"space\.parameters\.optimizer\.lrr: unknown key; did you mean 'lr'",
    ),
    ({"space": "image_clasifier"}, "'image_clasifier'; did you mean 'image_classifier'"),
    ({"metric": "val_acc"}, "metric: must be one of .*'val_acc'; did you mean 'val_accuracy'"),
    ({"storage": "s3:///runs"}, "storage: s3:///runs: must name a bucket, as in s3://bucket/folder"),
    ({"storage": "s3:/bucket/runs"}, "storage: must have two slashes if it is a URI, but got 's3:/bucket/runs'"),
    ({"storage": "s3://me:hidden@bucket"}, "storage: s3://…@bucket: must not hold a password; credentials come from"),
    ({"storage": "s3://bucket?access_key=hidden"}, "storage: s3://bucket: must not hold 'access_key'; credentials"),
    ({"mode": "maximum"}, "mode:.*'maximum'; did you mean 'max'"),
    ({"metric": "val_loss", "mode": "max"}, "mode: must be 'min' for the metric val_loss, but got 'max'"),
    ({"metric": "train_loss", "mode": "max"}, "mode: must be 'min' for the metric train_loss, but got 'max'"),
    ({"metric": "val_accuracy", "mode": "min"}, "mode: must be 'max' for the metric val_accuracy, but got 'min'"),
    ({"metric": "val_r2", "mode": "min"}, "mode: must be 'max' for the metric val_r2, but got 'min'"),
    ({"train": {"optimizer": {"nam": "sgd"}}}, r"^sweep: train\.optimizer\.nam: unknown key; did you mean 'name'"),
    ({"train": {"epochs": "5"}}, "train.epochs: must be a whole number, but got '5'"),
    ({"train": {"epochs": 3.0}}, "train.epochs: must be a whole number, but got 3.0"),
    ({"train": {"optimizer": {"lr": True}}}, "train.optimizer.lr: must be a number, but got True"),
    ({"train": {"batch_size": 10**10}}, "train.batch_size: must be at most 1000000000, but got 10000000000"),
    ({"train": {"data": "digits"}}, r"train\.data: must be a mapping such as {name: digits}, but got 'digits'$"),
    ({"train": {"data": None}}, r"train\.data: must be a mapping such as {name: digits}, but got None$"),
    ({"train": {"data": ["digits"]}}, r"train\.data: must be a mapping such as {name: digits}, but got \['digits'\]$"),
    (
        {"train": {"parallel": {"stages": 3}}, "workers": {"count": 4}},
        r"workers\.count: must be a multiple of train\.parallel\.stages, 3, but got 4",
    ),
    ({"train": {"parallel": {"stages": 2}}}, r"must be a multiple of train\.parallel\.stages, 2, but got 1"),
    (
        {"train": {"parallel": {"stages": 2, "cut": ["1", "2"]}}, "workers": {"count": 2}},
        r"train\.parallel\.cut: must name stages - 1 layers, 1, but got",
    ),
    (
        {"train": {"parallel": {"stages": 2}, "batch_size": 3}, "workers": {"count": 4}},
        r"train\.batch_size: must be at least 2 x workers\.count / parallel\.stages, 4, but got 3",
    ),
    ({"train": {"loop": "a:b", "model": {}}}, r"train\.model: unknown key; known are loop, arguments, epochs, seed"),
    ({"train": {"loop": 3}}, r"train\.loop: must be text, but got 3"),
    ({"train": {"loop": "a:b", "epochs": 0}}, r"train\.epochs: must be at least 1, but got 0"),
    ({"train": {"loop": "a:b"}, "workers": {"count": 2}}, r"workers\.count: must be 1 where train\.loop trains"),
    ({"train": {"loop": "a:b"}, "compress": {"best": 2}}, r"compress: must be null .* but got {'best': 2}"),
    ({"train": {"optimizer.lr": 0.1}}, r"train\.optimizer\.lr: unknown key; .* write optimizer: {lr: 0\.1}$"),
    ({"train": {5: 1}}, "train.5: a key must be text, but got 5"),
    ({"train": {"optimizer": {5: 1}}}, "train.optimizer.5: a key must be text, but got 5"),
    ({"train": None}, "train: must be a mapping, but got None"),
    ({5: 1}, "5: a key must be text, but got 5"),
    ({"search": "bayes"}, "search: must be a mapping such as {name: bayes}, but got 'bayes'"),
    ({"search.trials": 5}, "search.trials: unknown key; keys are nested here, write search: {trials: 5}"),
    (
        {"search": {"name": "random", "trials": 10**10}},
        "search.trials: must be at most 1000000000, but got 10000000000",
    ),
    (
        {"search": {"name": "random", "trials": 3, "per_second": True}},
        "search.per_second: must be left out unless search.name is 'bayes', but got True",
    ),
    (
        {"search": {"name": "random", "trials": 3, "warm_start": ["x"]}},
        "search.warm_start: must be left out unless search.name is 'bayes'",
    ),
    ({"search": {"trials": 3, "warm_start": "x"}}, "search.warm_start: must be a list, but got 'x'"),
    ({"search": {"trials": 3, "warm_start": [""]}}, "search.warm_start: must be a path, but got ''"),
    ({"search": {"trials": 3, "repeats": 0}}, "search.repeats: must be at least 1, but got 0"),
    (
        {"search": {"trials": 3, "repeats": 2}, "train": {"seed": 3}},
        "search.repeats: must be 1 where train.seed gives the seed, but got 2",
    ),
    ({"search": {"trials": 3, "start": {}}}, "search.start: must be a list, but got {}"),
    ({"search": {"trials": 3, "start": [3]}}, "search.start.0: must be a mapping, but got 3"),
    (
        {"search": {"trials": 3, "start": [{"optimizer.lr": 0.01}, {}]}},
        r"search\.start\.1: must set every parameter that is switched on, but optimizer\.lr got no value$",
    ),
    (
        {"search": {"trials": 3, "start": [{"optimizer.lr": 5}]}},
        r"search\.start\.0\.optimizer\.lr: must be in LogUniform\(low=0\.001, high=0\.1\), but got 5$",
    ),
    (
        {"search": {"trials": 3, "start": [{"optimizer.lrr": 0.01}]}},
        r"search\.start\.0\.optimizer\.lrr: must be a parameter .*; did you mean 'optimizer\.lr'\?",
    ),
    (rules("optimizer.lr > 1"), r"^sweep: space\.constraints: must allow one of 10000 configurations drawn, but got"),
    (rules("optimizr.lr > 0"), r"^sweep: space\.constraints\.0: .*'optimizr\.lr'; did you mean 'optimizer\.lr'"),
    (rules("optimizer.lr / 0 > 0"), r"^sweep: space\.constraints\.0: .* raised ZeroDivisionError"),
    (
        rules("optimizer.lr < 0.05") | {"search": {"trials": 3, "start": [{"optimizer.lr": 0.08}]}},
        r"search\.start\.0\.constraints: 'optimizer\.lr < 0\.05' must hold, but got {'optimizer\.lr': 0\.08}",
    ),
    ({"limits": 3}, "limits: must be a mapping of epochs, minutes, target, patience, but got 3"),
    ({"limits": {"minutes": math.nan}}, "limits.minutes: must be a finite number, but got nan"),
    ({"space": None}, "^sweep: space: must be a shipped space's name, a YAML file or a mapping .*, but got None$"),
    ({"space": {"paramters": {}}}, "^sweep: space: must hold only .*; did you mean 'parameters'"),
    (
        {"space": {"parameters": {"epochs.x": 3}}},
        r"space\.parameters\.epochs\.x: unknown key; 'epochs' is a single value",
    ),
    ({"space": {"parameters": {"batch_size": {"grid": [1, 4]}}}}, r"space\.parameters\.batch_size: must be at least 2"),
    (
        {"space": {"parameters": {"batch_size": {"grid": [4, 8]}}}, "workers": {"count": 3}},
        r"space\.parameters\.batch_size: must be at least 2 x workers\.count, 6, but got 4$",
    ),
    ({"workers": {"count": 40}}, "train.batch_size: must be at least 2 x workers.count, 80, but got 64"),
    ({"workers": {"cpus": 1e-9}}, "workers.cpus: must be at least 0.01, but got 1e-09"),
    ({"workers": {"gpus": 1e-9}}, "workers.gpus: must be 0, a share .*, but got 1e-09"),
    ({"workers": {"gpus": 1.5}}, "workers.gpus: must be 0, a share .* or a whole number, but got 1.5"),
    ({"seed": 2**32}, "^sweep: seed: must be less than 4294967296, but got 4294967296$"),
    ({"storage": "a\0b"}, r"storage: must be a path, but got 'a\\x00b'"),
    ({"storage": "$HOME/runs"}, r"storage: must be written out, without variables, but got '\$HOME/runs'"),
    ({"storage": "~no-such-user/runs"}, "storage: must begin with a home folder that there is, but got '~no-such-user"),
    ({"storage": "x" * 300}, "storage: must be no longer than a file system allows, but got 'xxx"),
    ({"asha": {"grace": 1}}, "asha.grace: unknown key; did you mean 'grace_period'"),
    ({"asha": {"brackets": 3}}, "asha.brackets: must be at most 2, the rungs from 1 to 8 epochs .* 3, but got 3"),
    ({"asha": {"reduction_factor": math.inf}}, "asha.reduction_factor: must be a finite number, but got inf"),
    ({"asha": {"reduction_factor": 1}}, "asha.reduction_factor: must be at least 1.1, but got 1"),
    (
        {"compress": {"keep_macs": [0.5, 0.5]}},
        r"compress\.keep_macs: must differ from each other, but got \[0\.5, 0\.5\]",
    ),
    ({"compress": {"keep_macs": 0.5}}, "compress.keep_macs: must be a list, but got 0.5"),
    ({"compress": {"epochs": True}}, "compress.epochs: must be a whole number, but got True"),
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


def model(**arguments):
    return {"train": {"epochs": 8, "model": arguments}}


def varied(name, domain):
    return {"space": {"parameters": {name: domain}}}


BAD_MODELS = [
    (model(name="mpl"), r"^train\.model\.name: must be one of mlp, .* got 'mpl'; did you mean 'mlp'"),
    (model(name="nowhere:Net"), r"^train\.model\.name: 'nowhere:Net' cannot be imported: .* 'nowhere'"),
    (model(name="builtins:dict"), r"^train\.model\.name: must be a builder .* 'builtins:dict'"),
    (model(width=-5), r"^train\.model\.width: must be a whole number from 1 to 65536, but got -5$"),
    (varied("model.name", {"choice": ["mlp", *"abcdefg"]}), r"^space\.parameters\.model\.name: .* but got 'a'"),
    (varied("model.widht", 8), r"^space\.parameters\.model\.widht: unknown argument; .* did you mean 'width'"),
    (varied("model.width", {"int": [-5, 8]}), r"^space\.parameters\.model\.width: .*, but got -5$"),
    (varied("model.width", {"log_int": [1, 10**9]}), r"^space\.parameters\.model\.width: .*, but got \d{6,}$"),
    (varied("model.depth", {"choice": [1, "x"]}), r"^space\.parameters\.model\.depth: .*, but got 'x'$"),
    (varied("model.dropout", {"uniform": [0, 1]}), r"^space\.parameters\.model\.dropout: .*, but got 1\.0$"),
]


@pytest.mark.parametrize(("change", "message"), BAD_MODELS, ids=[message[:40] for _, message in BAD_MODELS])
def test_a_model_that_cannot_be_built_is_told_when_the_sweep_is_checked(change, message):
    sweep = make_sweep({**GOOD, **change})
    with pytest.raises(SweepError, match=message):
        sweep.check()


def test_what_can_be_built_passes_the_check():
    make_sweep({**GOOD, **model(name="mlp", width=8, depth=1, dropout=0)}).check()
    load_sweep("examples/digits.yaml").check()


def test_the_home_folder_is_written_out_and_other_places_are_as_given(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert make_sweep({**GOOD, "storage": "~/runs"}).folder == Path("/home/somebody/runs/x")
    for storage in ("runs", "/data/runs", "s3://bucket/runs?region=x"):
        assert make_sweep({**GOOD, "storage": storage}).storage == storage


def test_as_many_brackets_as_rungs_are_good():
    assert make_sweep({**GOOD, "asha": {"brackets": 4}, "train": {"epochs": 27}}).asha.brackets == 4


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


def test_a_written_sweep_loads_as_itself(tmp_path):
    sweep = make_sweep({**GOOD, "name": "1e3", "compress": {"keep_macs": [0.5]}, "asha": None})
    path = tmp_path / "sweep.yaml"
    path.write_text(dump_sweep(sweep))
    assert load_sweep(path) == sweep


@pytest.mark.parametrize("name", ["digits", "digits-ddp", "digits-grid", "fashion-mnist", "own-loop"])
def test_examples_are_sound(name):
    assert load_sweep(f"examples/{name}.yaml").name == name


def test_the_template_is_sound():
    assert load_sweep("orchestrator/template.yaml").name == "my-sweep"


def test_a_space_file_is_found_beside_the_sweep(tmp_path):
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(GOOD["space"]))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**GOOD, "space": "space.yaml"}))
    assert load_sweep(tmp_path / "sweep.yaml") == make_sweep(GOOD)


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "name: x\nname: y", "", "train: &a {x: *a}", "name: !!int abc", "a: " + "[" * 3000]
)
def test_a_file_that_is_no_mapping_is_an_error_naming_it(tmp_path, text):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(SweepError, match=r"sweep\.yaml"):
        load_sweep(tmp_path / "sweep.yaml")


def test_a_missing_file_is_an_error_naming_it(tmp_path):
    with pytest.raises(SweepError, match=r"none\.yaml: cannot be read: no such file"):
        load_sweep(tmp_path / "none.yaml")


def test_seeds_of_trials_come_from_the_sweep_unless_given():
    sweep = make_sweep({**GOOD, "seed": 7, "train": {"epochs": 8, "data": {"seed": 1}}})
    train = sweep.train_config({"optimizer.lr": 0.01})
    assert (train.seed, train.data.seed, train.optimizer.lr) == (7, 1, 0.01)


def test_constraints_guesses_and_repeats_survive_yaml(tmp_path):
    search = {"name": "bayes", "trials": 3, "repeats": 2, "start": [{"optimizer.lr": 0.01}], "per_second": True}
    sweep = make_sweep({**GOOD, **rules("optimizer.lr < 0.05"), "search": {**search, "warm_start": ["there"]}})
    (tmp_path / "sweep.yaml").write_text(dump_sweep(sweep))
    again = load_sweep(tmp_path / "sweep.yaml")
    assert again == sweep
    assert again.search.start == [{"optimizer.lr": 0.01}]
    assert again.search.warm_start == [str(Path("there").absolute())]


def test_an_earlier_run_is_looked_up_beside_the_sweep_first(tmp_path):
    (tmp_path / "earlier").mkdir()
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({**GOOD, "search": {"trials": 3, "warm_start": ["earlier"]}}))
    assert load_sweep(tmp_path / "x.yaml").search.warm_start == [str(tmp_path / "earlier")]


def test_a_repeat_has_a_training_seed_of_its_own_on_the_same_data():
    sweep = make_sweep({**GOOD, "seed": 5})
    trains = [sweep.train_config({"optimizer.lr": 0.01}, repeat) for repeat in range(3)]
    assert [train.seed for train in trains] == [5, 6, 7]
    assert {train.data.seed for train in trains} == {5}


def test_a_function_that_no_resume_could_find_is_refused_when_a_sweep_is_made():
    space = Space({"optimizer.lr": LogUniform(1e-3, 0.1)}, [lambda config: True])
    with pytest.raises(SweepError, match=r"^sweep: space\.constraints\.0: a function must be at the top level"):
        make_sweep({**GOOD, "space": space})


def test_reading_a_sweep_imports_no_rule_and_checking_it_does(tmp_path, monkeypatch):
    space = {**lr({"log_uniform": [1e-3, 0.1]})["space"], "constraints": ["my_sweep_rules:gentle"]}
    start = [{"optimizer.lr": 0.08}]
    sweep = make_sweep({**GOOD, "space": space, "search": {"trials": 3, "start": start}})
    assert sweep.epochs == 8
    with pytest.raises(SweepError, match=r"^space\.constraints\.0: 'my_sweep_rules:gentle' cannot be imported"):
        sweep.check()
    (tmp_path / "my_sweep_rules.py").write_text("def gentle(config):\n    return config['optimizer.lr'] < 0.05\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SweepError, match=r"^search\.start\.0\.constraints: 'my_sweep_rules:gentle' must hold"):
        make_sweep({**GOOD, "space": space, "search": {"trials": 3, "start": start}}).check()


@pytest.mark.parametrize(
    ("metric", "mode"), [("val_loss", "min"), ("train_loss", "min"), ("val_accuracy", "max"), ("val_r2", "max")]
)
def test_a_known_metric_has_its_direction_where_the_author_leaves_it_open(metric, mode):
    sweep = make_sweep({**GOOD, "metric": metric})
    assert (sweep.mode, sweep.sign) == (mode, {"max": -1.0, "min": 1.0}[mode])
    assert make_sweep({**GOOD, "metric": metric, "mode": mode}) == sweep


def test_a_run_of_an_earlier_version_can_be_read_whatever_its_mode(tmp_path):
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    text = dump_sweep(make_sweep({**GOOD, "name": "old", "metric": "val_loss"})).replace("mode: min", "mode: max")
    (folder / "sweep.yaml").write_text(text)
    assert open_run(folder).sweep.mode == "max"
    with pytest.raises(SweepError, match="mode: must be 'min'"):
        load_sweep(folder / "sweep.yaml")
