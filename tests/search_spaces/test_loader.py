"""The YAML form: the same spaces as in Python, and errors that say where."""

import numpy as np
import pytest
import yaml

from search_spaces import (
    Choice,
    Constant,
    Grid,
    Int,
    LogInt,
    LogUniform,
    Space,
    SpaceError,
    Uniform,
    When,
    load_space,
    read_yaml,
    shipped_spaces,
)

YAML = """
description: every form there is
parameters:
  optimizer.name: {choice: [sgd, adam, null, true]}
  optimizer.lr: {log_uniform: [1e-3, 0.3]}
  optimizer.momentum: {uniform: [0.8, 0.99], when: {optimizer.name: sgd}}
  batch_size: {grid: [32, 64, 128]}
  model.width: {int: [8, 32]}
  model.depth: {log_int: [1, 64], when: {optimizer.name: [sgd, adam], batch_size: 32}}
  model.bias: {constant: false, when: {optimizer.name: sgd}}
  epochs: 27
"""
PYTHON = Space(
    {
        "optimizer.name": Choice(["sgd", "adam", None, True]),
        "optimizer.lr": LogUniform(1e-3, 0.3),
        "optimizer.momentum": When(Uniform(0.8, 0.99), {"optimizer.name": "sgd"}),
        "batch_size": Grid([32, 64, 128]),
        "model.width": Int(8, 32),
        "model.depth": When(LogInt(1, 64), {"optimizer.name": ("sgd", "adam"), "batch_size": 32}),
        "model.bias": When(Constant(False), {"optimizer.name": "sgd"}),
        "epochs": 27,
    }
)


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return path

    return write


def test_yaml_and_python_give_the_same_space(write):
    path = write(YAML)
    assert (
        load_space(path) == load_space(str(path)) == load_space(yaml.safe_load(YAML.replace("1e-3", "0.001"))) == PYTHON
    )


def test_a_space_survives_the_way_through_yaml(write):
    assert load_space(write(yaml.safe_dump(PYTHON.to_dict(), sort_keys=False))) == PYTHON


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_shipped_spaces_load_and_sample(name):
    space = load_space(name)
    space.validate(space.sample(np.random.default_rng(0)))


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.e-3", ".1e-2", "+1e-3"])
def test_numbers_with_an_exponent_are_numbers(write, text):
    assert read_yaml(write(f"a: {text}")) == {"a": 0.001}


@pytest.mark.parametrize("text", ["e3", "1e", "v1e3", "'1e3'"])
def test_text_that_only_looks_like_a_number_stays_text(write, text):
    assert read_yaml(write(f"a: {text}")) == {"a": text.strip("'")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {int: [3, 1]}", r"parameters\.a\.int: `low < high` must hold, but got low=3, high=1$"),
        ("a: {int: 3}", r"parameters\.a\.int: must be \[low, high\], but got 3$"),
        ("a: {uniform: [1, 2, 3]}", r"parameters\.a\.uniform: must be \[low, high\]"),
        (
            "a: {unifrom: [1, 2]}",
            r"parameters\.a: must name one domain of .*, but got 'unifrom'; did you mean 'uniform'",
        ),
        ("a: {when: {b: 1}}", r"parameters\.a: must name one domain"),
        ("a: {int: [1, 2], grid: [1, 2]}", r"parameters\.a: must name one domain of .*, but got \['int', 'grid'\]"),
        ("a: {int: [1, 2], when: 3}", r"parameters\.a\.when: `conditions` must name a parameter"),
        ("a: [1, 2]", r"a: must be a domain or a scalar, but got \[1, 2\]"),
        ("a: 1\n  a: 2", "the key 'a' comes twice"),
        ("a: {int: [1, 2], int: [1, 3]}", "the key 'int' comes twice"),
        ("a: {int: [1, 2}", "must be a readable YAML file"),
        ("a: !!python/object/apply:os.getcwd []", "must be a readable YAML file"),
    ],
)
def test_an_error_in_a_file_names_the_file_and_the_place(write, text, message):
    with pytest.raises(SpaceError, match=rf"^space\.yaml: .*{message}"):
        load_space(write(f"parameters:\n  {text}\n"))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            {"parameter": {}},
            "must hold only `parameters` and `description`, but got 'parameter'; did you mean 'parameters'",
        ),
        ({"description": "x"}, "^parameters: must map names to domains, but got None"),
        ({"parameters": [1]}, "^parameters: must map names to domains"),
        ({"parameters": {}}, "^parameters: must map names to domains"),
    ],
)
def test_the_frame_of_the_form_is_checked(form, message):
    with pytest.raises(SpaceError, match=message):
        load_space(form)


def test_a_file_without_a_mapping_is_refused(write):
    with pytest.raises(SpaceError, match="must map `parameters` to the parameters, but got None"):
        load_space(write(""))


def test_an_unknown_name_suggests_a_shipped_space():
    with pytest.raises(SpaceError, match="but got 'image_clasifier'; did you mean 'image_classifier'"):
        load_space("image_clasifier")
