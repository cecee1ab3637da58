"""Tables as people have them: numbers and texts, missing values, columns that are none of the model's business."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from trainables import DataConfig, DataError, Dataset, TrainConfig, Trainer, load_data
from trainables.data import Column, DataWarning

COLOURS = ("blue", "green", "red")


def people(rows: int = 100) -> pd.DataFrame:
    """Ages with gaps, colours with gaps, a truth value, a name each, a label and a value."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 90, rows).astype(float)
    colour = rng.choice(COLOURS, rows).astype(object)
    income = age * 100 + 1000 * (colour == "red")
    age[::10], colour[::7] = np.nan, None
    return pd.DataFrame(
        {
            "name": [f"person {row}" for row in range(rows)],
            "age": age,
            "colour": colour,
            "member": rng.random(rows) < 0.5,
            "income": income,
            "rich": np.where(income > 5000, "yes", "no"),
        }
    )


def write(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def config(path: Path, **settings: Any) -> DataConfig:
    return DataConfig(name="table", path=str(path), **{"target": "rich", "drop": ["name", "income"], **settings})


def load(folder: Path, frame: pd.DataFrame | None = None, file: str = "people.csv", **settings: Any) -> Dataset:
    return load_data(config(write(folder / file, people() if frame is None else frame), **settings))


def assert_refused(folder: Path, frame: pd.DataFrame, reason: str, **settings: Any) -> None:
    with pytest.raises(DataError, match=reason):
        load(folder, frame, **settings)


def every(data: Dataset) -> torch.Tensor:
    return torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])


@pytest.mark.parametrize("file", ["people.csv", "people.csv.gz", "people.tsv", "people.parquet"])
def test_numbers_and_categories_become_features(tmp_path: Path, file: str) -> None:
    data = load(tmp_path, file=file)
    assert (data.task, data.classes, data.input_shape) == ("classification", ("no", "yes"), (6,))
    age, colour, member = data.columns
    assert (age.name, age.kind, age.width) == ("age", "numeric", 1)
    assert colour == Column("colour", "categorical", categories=(*COLOURS, None))
    assert member in [Column("member", "numeric", fill=fill) for fill in (0.0, 0.5, 1.0)]
    inputs = every(data)
    assert inputs.dtype == torch.float32
    assert inputs[:, 1:5].sum(1).tolist() == [1.0] * 100
    assert float(inputs[:, 4].sum()) == 15
    assert int((inputs[:, 0] == age.fill).sum()) >= 10


def test_medians_and_scales_are_those_of_the_training_part(tmp_path: Path) -> None:
    """Its own parts make known which rows those are."""
    frame = people()
    frame["part"] = ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    frame.loc[60:, "age"] *= 1000
    data = load(tmp_path, frame, split="part")
    train = frame["age"][:60]
    assert data.columns[0].fill == train.median()
    filled = torch.tensor(train.fillna(train.median()).to_numpy(), dtype=torch.float32)
    assert torch.equal(data.train.inputs[:, 0], filled)
    assert torch.allclose(data.mean[0], filled.mean())
    assert torch.allclose(data.std[0], filled.std())
    assert (data.mean[1:5].tolist(), data.std[1:5].tolist()) == ([0.0] * 4, [1.0] * 4)
    assert float(data.test.inputs[:, 0].max()) > 10_000


def test_parts_may_be_files(tmp_path: Path) -> None:
    frame = people()
    write(tmp_path / "train.csv", frame[:60])
    write(tmp_path / "val.csv", frame[60:80])
    write(tmp_path / "test.parquet", frame[80:][["rich", *frame.columns[:-1]]])
    data = load_data(config(tmp_path))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [60, 20, 20]
    assert data.test.targets.tolist() == [int(one == "yes") for one in frame["rich"][80:]]
    (tmp_path / "val.csv").unlink()
    data = load_data(config(tmp_path))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [48, 12, 20]


def test_a_table_beside_the_parts_is_left_out_with_a_warning(tmp_path: Path) -> None:
    for part, rows in (("train", 60), ("dev", 20), ("test", 20), ("sample_submission", 20)):
        write(tmp_path / f"{part}.csv", people(rows))
    (tmp_path / "readme.txt").touch()
    with pytest.warns(DataWarning) as told:
        data = load_data(config(tmp_path))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [60, 20, 20]
    (warning,) = told
    assert str(warning.message).startswith(
        f"{tmp_path}/sample_submission.csv is left out, as its name is that of no part"
    )


def test_a_category_that_is_not_trained_on_is_none_of_the_others(tmp_path: Path) -> None:
    frame = people()
    frame["part"] = ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    frame.loc[90, "colour"] = "ultraviolet"
    data = load(tmp_path, frame, split="part")
    assert data.columns[1].categories == (*COLOURS, None)
    assert data.test.inputs[10, 1:5].tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("target", "task", "expected"),
    [
        ("income", None, ()),
        ("rich", None, ("no", "yes")),
        ("member", None, ("False", "True")),
        ("grade", None, ("1", "2", "10")),
        ("grade", "regression", ()),
        ("many", None, ()),
    ],
)
def test_the_target_tells_the_task(tmp_path: Path, target: str, task: str | None, expected: tuple[str, ...]) -> None:
    frame = people()
    frame["grade"] = np.tile([1, 2, 10, 2], 25)
    frame["many"] = np.arange(100)
    data = load(tmp_path, frame, target=target, task=task, drop=["name"])
    assert data.classes == expected
    assert data.train.targets.shape == ((60,) if expected else (60, 1))


def test_regression_is_split_plainly_and_knows_its_targets_scale(tmp_path: Path) -> None:
    frame = people()
    data = load(tmp_path, frame, target="income", drop=["name", "rich"])
    assert (data.task, data.num_outputs) == ("regression", 1)
    together = torch.cat([data.train.targets, data.validation.targets, data.test.targets])
    assert sorted(together[:, 0].tolist()) == sorted(frame["income"].tolist())
    assert torch.allclose(data.target_mean, data.train.targets.mean(0))
    assert torch.allclose(data.target_std, data.train.targets.std(0))


def test_numbers_may_be_names(tmp_path: Path) -> None:
    frame = people()
    frame["district"] = np.tile([7, 11, 7, 9], 25)
    assert load(tmp_path, frame).columns[-1].kind == "numeric"
    assert load(tmp_path, frame, categorical=["district"]).columns[-1].categories == ("11", "7", "9")


def test_kinds_of_parquet(tmp_path: Path) -> None:
    """Types that CSV does not have, with missing values in each."""
    frame = people()
    frame["whole"] = pd.array([None, *range(99)], dtype="Int64")
    frame["truth"] = pd.array([None, *[True, False, True] * 33], dtype="boolean")
    frame["kind"] = pd.Categorical(["a", "b"] * 50)
    columns = {column.name: column for column in load(tmp_path, frame, file="people.parquet").columns}
    assert {name: columns[name].kind for name in ("whole", "truth", "kind")} == {
        "whole": "numeric",
        "truth": "numeric",
        "kind": "categorical",
    }


def test_many_categories_keep_the_frequent_ones(tmp_path: Path) -> None:
    frame = people(1000)
    frame["town"] = [f"town {row % 300 if row < 600 else row % 20}" for row in range(1000)]
    town = load(tmp_path, frame).columns[-1]
    assert town.width == 100
    assert {f"town {number}" for number in range(20)} <= set(town.categories)


def test_a_name_for_every_row_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, people(400), "column 'name', must have fewer values.*data.drop", drop=["income"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": None}, "data.target must name the column of .*one of name, age, colour, member, income, rich"),
        ({"target": "ritch"}, "must have a column 'ritch' as data.target says, .*; did you mean 'rich'"),
        ({"drop": ["nam"]}, "must have a column 'nam' as data.drop says.*; did you mean 'name'"),
        ({"categorical": ["x"]}, "must have a column 'x' as data.categorical says"),
        ({"split": "part"}, "must have a column 'part' as data.split says"),
        ({"split": "colour"}, "column 'colour', must say train, validation, test, but row 1 of people.csv has"),
        ({"drop": ["name", "age", "colour", "member", "income"]}, "must have columns beside 'rich'"),
        ({"target": "colour"}, "column 'colour', must have a value in every row, but has none in row 1 of people.csv"),
        ({"task": "regression"}, "column 'rich', must hold numbers for regression, but holds 'no'"),
        ({"test": 0.001}, "cannot be split by class: data.test must hold out"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    frame = people()
    frame["rich"] = frame["rich"].where(frame.index > 0, "no")
    assert_refused(tmp_path, frame, reason, **changes)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pd.date_range("2024-01-01", periods=100), "must be named in data.dates .* dates such as '2024-01-01'"),
        ([[1, 2]] * 100, "must hold numbers or texts"),
        ([None] * 100, "must have a value in what is trained on, or be named in data.drop"),
        ([np.inf] + [1.0] * 99, "must be finite in float32 where it is known, but holds inf in row 1"),
        ([1.0] * 99 + [1e300], "must be finite in float32 where it is known, but holds 1e.300 in row 100"),
    ],
)
def test_columns_that_cannot_be_features_are_named(tmp_path: Path, column: Any, reason: str) -> None:
    frame = people()
    frame["odd"] = column
    assert_refused(tmp_path, frame, f"people.parquet, column 'odd', {reason}", file="people.parquet")


def test_targets_must_be_known_and_finite(tmp_path: Path) -> None:
    frame = people()
    for bad, reason in ((np.nan, "has none in row 31 of"), (np.inf, "must be finite everywhere, but is inf in row 30")):
        frame.loc[30, "income"] = bad
        assert_refused(tmp_path, frame, f"column 'income', .*{reason}", target="income", drop=["name", "rich"])


def test_a_class_that_is_not_trained_on_is_named(tmp_path: Path) -> None:
    frame = people()
    write(tmp_path / "train.csv", frame[:80])
    frame.loc[95, "rich"] = "maybe"
    write(tmp_path / "test.csv", frame[80:])
    with pytest.raises(
        DataError, match=r"column 'rich', must have a class .* no, yes, but in row 16 of test.csv has maybe"
    ):
        load_data(config(tmp_path))
    write(tmp_path / "train.csv", frame[:80].assign(rich="no"))
    with pytest.raises(DataError, match=r"must have two classes at least to train on, but has 'no' only"):
        load_data(config(tmp_path))


def test_files_of_parts_must_have_the_columns_of_training(tmp_path: Path) -> None:
    frame = people()
    write(tmp_path / "train.csv", frame)
    write(tmp_path / "test.csv", frame.rename(columns={"age": "agee"}))
    with pytest.raises(DataError, match=r"test.csv must have a column 'age' as train.csv has it.*did you mean 'agee'"):
        load_data(config(tmp_path))
    write(tmp_path / "test.csv", frame.assign(age="old"))
    with pytest.raises(DataError, match=r"column 'age', must hold numbers only, .* has 'old' in row 1 of test.csv"):
        load_data(config(tmp_path))
    with pytest.raises(DataError, match=r"data\.split must be left out where each part has its file"):
        load_data(config(tmp_path, split="colour"))
    write(tmp_path / "test.parquet", frame)
    with pytest.raises(DataError, match=r"one file for test, but holds test.csv and test.parquet"):
        load_data(config(tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("people.csv", b"", "cannot be read as a table"),
        ("people.csv", b"a,rich\n", "must have rows, but has none"),
        ("people.csv", b"a,rich\n\xff\xfe\xfa,1\n", "cannot be read as a table"),
        ("people.csv", b"a,rich\n1,2\n1,2,3,4\n", "cannot be read as a table"),
        (
            "people.csv",
            b"a,rich\n0,1,2\n1,3,4\n",
            "cannot be read as a table: each row must have 2 values, .* line 2 has 3 .*data.separator and data.decimal",
        ),
        (
            "people.csv",
            b"rich,a,rich\n1,2,3\n",
            "cannot be read as a table: it must have one column of each name, but has 2 of 'rich'",
        ),
        ("people.parquet", b"PAR1 and so on", "cannot be read as a table"),
        ("people.xlsx", b"PK", "must be a Parquet or CSV file by its name"),
        ("people.csv.gz", b"no gzip", "cannot be read as a table"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, file: str, content: bytes, reason: str) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))} {reason}"):
        load_data(config(path))


def test_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1, 2])] * 3, names=["rich", "a", "a"]), tmp_path / "people.parquet")
    with pytest.raises(
        DataError,
        match=r"people.parquet cannot be read as a table: it must have one column of each name, but has 2 of 'a'",
    ):
        load_data(config(tmp_path / "people.parquet"))


def test_a_comma_that_ends_every_row_adds_no_value(tmp_path: Path) -> None:
    names, *rows = write(tmp_path / "people.csv", people()).read_text().splitlines()
    plain = load_data(config(tmp_path / "people.csv"))
    (tmp_path / "people.csv").write_text("\n".join([names, *(f"{row}," for row in rows)]))
    assert torch.equal(every(load_data(config(tmp_path / "people.csv"))), every(plain))


@pytest.mark.parametrize("file", ["people.csv", "people.parquet"])
def test_columns_may_go_without_a_name(tmp_path: Path, file: str) -> None:
    nameless = people().assign(x=np.random.default_rng(0).normal(size=100)).rename(columns={"x": " "})
    names = [column.name for column in load(tmp_path, nameless, file).columns]
    assert names == ["age", "colour", "member", "Unnamed: 6"]


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path must name a Parquet or CSV file"):
        load_data(DataConfig(name="table", target="x"))
    with pytest.raises(DataError, match="does not exist"):
        load_data(config(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="but has no file for train"):
        load_data(config(tmp_path))


@pytest.mark.parametrize("table", [load_breast_cancer, load_wine])
def test_the_tables_of_scikit_learn_train(tmp_path: Path, table: Any) -> None:
    frame = table(as_frame=True).frame
    data = load(tmp_path, frame, file="table.parquet", target="target", drop=[])
    assert (data.task, len(data.columns)) == ("classification", frame.shape[1] - 1)
    model = {"name": "mlp", "width": 16, "depth": 1}
    sweep = {"epochs": 10, "batch_size": 16, "model": model, "augment": {"shift": 0}}
    assert max(epoch.val_accuracy or 0 for epoch in Trainer(TrainConfig.of(sweep), data).epochs()) > 0.9


def test_diabetes_are_a_regression(tmp_path: Path) -> None:
    data = load(tmp_path, load_diabetes(as_frame=True, scaled=False).frame, target="target", drop=[])
    assert (data.task, data.input_shape, len(data.train)) == ("regression", (10,), 266)
    assert not data.mean[1].isnan()
