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
    nearest,
    read_yaml,
    shipped_spaces,
    to_yaml,
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
        ("a: {int: [1, 2}", r"must be valid YAML, but line 2, column 17: .*expected ',' or ']', but got '}'$"),
        ("a: !!python/object/apply:os.getcwd []", "must be valid YAML, but line 2, column 6: could not determine"),
        ("a: !!int abc", "line 2, column 6: 'abc' cannot be read as a value of type int$"),
        ("a: !!int ''", "line 2, column 6: '' cannot be read"),
        ("a: !!bool maybe", "line 2, column 6: 'maybe' cannot be read as a value of type bool$"),
        ("a: !!timestamp 2020-99-99", "'2020-99-99' cannot be read as a value of type timestamp$"),
        ("a: !!timestamp soon", "'soon' cannot be read as a value of type timestamp$"),
        ("a: " + "9" * 5000, "line 2, column 6: '9{30,}… cannot be read as a value of type int$"),
        ("a: 0x" + "f" * 5000, "a whole number must fit into 64 bits$"),
        ("a: &a {x: *a}", "line 2, column 6: a part must not hold itself$"),
        ("a: &a [[*a]]", "a part must not hold itself$"),
        ("a: " + "[" * 3000, "its brackets are nested too deeply$"),
        ("a: \0", r"character 18, .\\x00., is not allowed in it$"),
    ],
    ids=lambda text: text[:40],
)
def test_an_error_in_a_file_names_the_file_and_the_place(write, text, message):
    with pytest.raises(SpaceError, match=rf"^space\.yaml: .*{message}"):
        load_space(write(f"parameters:\n  {text}\n"))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            {"parameter": {}},
            "^space: must hold only `parameters`, .*, but got 'parameter'; did you mean 'parameters'",
        ),
        ({"description": "x"}, r"^space\.parameters: must map names to domains, but got None"),
        ({"parameters": [1]}, r"^space\.parameters: must map names to domains"),
        ({"parameters": {}}, r"^space\.parameters: must map names to domains"),
    ],
)
def test_the_frame_of_the_form_is_checked(form, message):
    with pytest.raises(SpaceError, match=message):
        load_space(form)


def test_a_file_without_a_mapping_is_refused(write):
    with pytest.raises(SpaceError, match="must map `parameters` to the parameters, but got None"):
        load_space(write(""))


@pytest.mark.parametrize("source", [None, True, 3, 0.5, ["image_classifier"], "", ".", "x" * 5000, "x\0y"])
def test_what_can_be_no_space_is_told_what_a_space_may_be(source):
    with pytest.raises(
        SpaceError, match=r"^space: must be a shipped space's name, a YAML file or a mapping .*, but got"
    ):
        load_space(source)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.yaml", "^cannot be read: no such file"),
        (".", "^cannot be read: is a dir"),
        ("\0", "^cannot be read: .*null"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, message):
    with pytest.raises(SpaceError, match=message):
        read_yaml(tmp_path / name)


def test_only_text_in_utf8_is_read(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(SpaceError, match=r"^cannot be read: must be text in UTF-8, but byte 3 is not$"):
        read_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    "value", ["1e-3", "1e3", 1e-3, "2020-01-31", "true", "null", "a: b", "ä", [{"x": [0.5, None]}]]
)
def test_what_is_written_is_read_as_itself(write, value):
    assert read_yaml(write(to_yaml({"a": value, "b": 1}))) == {"a": value, "b": 1}


def test_a_date_is_text_and_a_shared_part_is_no_mistake(write):
    assert read_yaml(write("a: 2020-01-31\nb: &b {x: 1}\nc: *b\nd: {<<: *b, y: 2}")) == {
        "a": "2020-01-31",
        "b": {"x": 1},
        "c": {"x": 1},
        "d": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    ("given", "meant"),
    [("grace", "grace_period"), ("SGD", "sgd"), ("trails", "trials"), ("weight_deacy", "weight_decay"), ("zzz", None)],
)
def test_the_nearest_name_holds_the_given_one_or_is_spelled_like_it(given, meant):
    hint = nearest(given, ["brackets", "grace_period", "sgd", "trials", "weight_decay", 3])
    assert hint == (f" did you mean {meant!r}?" if meant else "")


def test_an_unknown_name_suggests_a_shipped_space():
    with pytest.raises(SpaceError, match="but got 'image_clasifier'; did you mean 'image_classifier'"):
        load_space("image_clasifier")
