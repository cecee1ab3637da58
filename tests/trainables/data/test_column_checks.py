"""Columns that are no features: numbers of rows, copies of the labels, numbers beyond the precision of float32."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_wine

from trainables import DataConfig, DataError, Dataset, load_data
from trainables.compress.card import interface
from trainables.compress.inputs import read_inputs
from trainables.data import DataWarning
from trainables.data.columns import encode

ROWS = 120
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=ROWS)
LABELS = np.tile([0, 1, 2], ROWS // 3)


def load(folder: Path, frame: pd.DataFrame, **settings: Any) -> tuple[Dataset, list[str]]:
    """And what was said of it, without the path."""
    path = folder / settings.pop("file", "x.csv")
    index = settings.pop("index", False)
    frame.to_csv(path, index=index) if path.suffix == ".csv" else frame.to_parquet(path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        data = load_data(DataConfig(name="table", path=str(path), **{"target": "y", **settings}))
    assert all(one.category is DataWarning for one in told)
    assert all("\n" not in str(one.message) for one in told)
    return data, [str(one.message).removeprefix(f"{path}: ") for one in told]


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": NOISE, **columns, "y": LABELS})


def names(data: Dataset) -> list[str]:
    return [column.name for column in data.columns]


SHUFFLE = RNG.permutation(ROWS)


@pytest.mark.parametrize("order", [np.arange(ROWS), SHUFFLE, np.sort(SHUFFLE)[::-1], SHUFFLE * 3, np.arange(ROWS) % 60])
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("header", ["", " ", "Unnamed: 0", "__index_level_0__"])
def test_an_unnamed_count_of_the_rows_is_left_out(tmp_path: Path, order: np.ndarray, start: int, header: str) -> None:
    """In order, shuffled, backwards, of a sample, and of two tables one after another."""
    frame = table()
    frame.insert(0, header, order + start)
    data, (said,) = load(tmp_path, frame)
    assert names(data) == ["a"]
    assert said.endswith("has no name and numbers the rows, so that it is left out")


def test_the_index_of_pandas_is_left_out_and_not_asked_for(tmp_path: Path) -> None:
    """From the table to the card and to predictions."""
    wine = load_wine(as_frame=True).frame
    data, said = load(tmp_path, wine, index=True, target="target")
    assert names(data) == list(wine)[:-1]
    assert said == ["column 'Unnamed: 0' has no name and numbers the rows, so that it is left out"]
    card = interface(data, "crop")
    wine.drop(columns="target").to_csv(tmp_path / "new.csv", index=False)
    rows, inputs = read_inputs(tmp_path / "new.csv", card)
    assert (len(rows), inputs.shape) == (len(wine), (len(wine), 13))
    assert np.array_equal(inputs, wine.drop(columns="target").to_numpy(np.float32))


@pytest.mark.parametrize("setting", ["drop", "categorical"])
def test_a_setting_that_names_the_index_counts(tmp_path: Path, setting: str) -> None:
    data, said = load(tmp_path, table(), index=True, **{setting: ["Unnamed: 0"], "target": "y"})
    assert names(data) == (["a"] if setting == "drop" else ["Unnamed: 0", "a"])
    assert not [line for line in said if "left out" in line]


def test_an_unnamed_column_of_something_else_stays(tmp_path: Path) -> None:
    for values in (NOISE, LABELS, LABELS * 5, RNG.integers(0, 10**9, ROWS), np.round(NOISE * 10)):
        frame = table()
        frame.insert(0, "", values)
        assert names(load(tmp_path, frame)[0]) == ["Unnamed: 0", "a"]


def test_parts_may_have_an_index_of_their_own_or_none(tmp_path: Path) -> None:
    table()[:80].to_csv(tmp_path / "train.csv")
    table()[80:].to_csv(tmp_path / "test.csv", index=False)
    with pytest.warns(DataWarning, match="numbers the rows"):
        data = load_data(DataConfig(name="table", path=str(tmp_path), target="y"))
    assert (names(data), len(data.test)) == (["a"], 40)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(ROWS),
        SHUFFLE + 1000.0,
        -SHUFFLE,
        [f"row_{number}" for number in RNG.permutation(100)],
        [f"{number:05}" for number in range(7, 107)],
    ],
)
@pytest.mark.parametrize("name", ["id", "index", "Kunde Nr."])
def test_a_column_that_counts_the_rows_is_said(tmp_path: Path, values: Any, name: str) -> None:
    for file in ("x.csv", "x.parquet"):
        frame = table()[: len(values)].assign(**{name: values})
        data, said = load(tmp_path, frame, file=file)
        assert names(data) == ["a", name]
        assert said[0] == f"column {name!r} counts the rows, which tells nothing of new ones: name it in data.drop"
        assert load(tmp_path, frame, file=file, drop=[name])[1] == []


def test_a_count_of_each_part_is_said(tmp_path: Path) -> None:
    frame = table(id=[*range(60), *range(30), *range(30)], part=["train"] * 60 + ["val"] * 30 + ["test"] * 30)
    assert "counts the rows" in load(tmp_path, frame, split="part")[1][0]


def test_a_text_of_each_row_is_said(tmp_path: Path) -> None:
    texts = [f"{number:x} and so on" for number in RNG.integers(0, 10**9, 90)]
    assert load(tmp_path, table()[:90].assign(name=texts))[1] == [
        "column 'name' has another text in each row, which tells nothing of new ones: name it in data.drop"
    ]


@pytest.mark.parametrize(
    "values",
    [
        np.arange(ROWS) % 24,
        np.arange(ROWS) * 3600,
        np.r_[np.arange(ROWS - 1), 0],
        RNG.integers(0, 100, ROWS),
        SHUFFLE / 2,
        LABELS == 1,
        [f"town {number % 40}" for number in range(ROWS)],
    ],
)
def test_other_numbers_count_no_rows(tmp_path: Path, values: Any) -> None:
    frame = table(x=values).assign(y=RNG.integers(0, 3, ROWS))
    assert load(tmp_path, frame)[1] == []


LEAKS: dict[str, Any] = {
    "sorted": LABELS * 10 + RNG.random(ROWS) * 5,
    "coded": np.array([7, 3, 5])[LABELS],
    "sub-coded": LABELS + 3 * RNG.integers(0, 4, ROWS),
    "text": np.array(["cat", "dog", "owl"])[LABELS],
    "sub-text": [f"{label} {number}" for label, number in zip(LABELS, RNG.integers(0, 5, ROWS), strict=True)],
    "gaps": np.where(np.arange(ROWS) % 5 > 0, LABELS * 10 + RNG.random(ROWS), np.nan),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_column_that_gives_the_class_away_is_said(tmp_path: Path, kind: str) -> None:
    for file in ("x.csv", "x.parquet"):
        data, said = load(tmp_path, table(x=LEAKS[kind]), file=file)
        assert names(data) == ["a", "x"]
        advice = "name in data.drop what is not known beforehand"
        assert said == [f"column 'x' alone tells the class of all rows to train on: {advice}"]


def test_several_such_columns_make_one_line(tmp_path: Path) -> None:
    (line,) = load(tmp_path, table(b=LEAKS["coded"], c=LEAKS["text"]))[1]
    assert line.startswith("columns 'b', 'c' each tell the class of all rows to train on")


@pytest.mark.parametrize("spoiled", [1, 5])
@pytest.mark.parametrize("kind", ["sorted", "coded", "text"])
def test_a_column_that_is_wrong_in_one_row_is_a_good_feature(tmp_path: Path, kind: str, spoiled: int) -> None:
    values = LEAKS[kind].copy()
    values[:spoiled] = values[1 : spoiled + 1]
    part = ["train"] * 80 + ["val"] * 20 + ["test"] * 20
    assert load(tmp_path, table(x=values, part=part), split="part")[1] == []


@pytest.mark.parametrize("rows", [12, 30, ROWS])
def test_noise_gives_nothing_away(tmp_path: Path, rows: int) -> None:
    """Also where the classes are so small that one column in some hundreds orders them by chance."""
    rng = np.random.default_rng(rows)
    frame = pd.DataFrame({f"x{number}": rng.normal(size=rows) for number in range(200)})
    frame["t"] = rng.choice(["r", "g"], rows)
    frame["y"] = np.r_[[1] * 4, [0] * (rows - 4)]
    assert load(tmp_path, frame)[1] == []


@pytest.mark.parametrize("values", [np.exp(NOISE), -NOISE * 3, np.round(NOISE * 1.1, 12)])
def test_a_column_that_orders_the_values_to_predict_is_said(tmp_path: Path, values: np.ndarray) -> None:
    (line,) = load(tmp_path, pd.DataFrame({"b": RNG.normal(size=ROWS), "x": values, "y": NOISE}))[1]
    assert line.startswith("column 'x' alone tells the order of the values to predict of all rows to train on")


SECONDS = np.round(1.7e9 + RNG.uniform(0, 60, ROWS), 3)


@pytest.mark.parametrize(
    "values",
    [
        SECONDS,
        SECONDS * 1000,
        -SECONDS,
        1e30 * (1 + RNG.random(ROWS) * 1e-9),
        np.round(SECONDS * 1e9).astype(np.int64),
    ],
)
@pytest.mark.parametrize("file", ["x.csv", "x.parquet"])
def test_numbers_far_from_zero_keep_their_differences(tmp_path: Path, values: np.ndarray, file: str) -> None:
    part = ["train"] * 80 + ["val"] * 20 + ["test"] * 20
    data, said = load(tmp_path, table(t=values, part=part), split="part", file=file)
    column = data.columns[1]
    assert said == []
    assert column.offset != 0
    got = torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])[:, 1]
    first = values[0].item() if values.dtype.kind == "f" else int(values[0])
    expected = [float(value - first) for value in values.tolist()]
    assert np.allclose((got - got[0]).numpy(), expected, rtol=1e-6, atol=1e-6 * np.ptp(expected))
    train = values[:80].astype(np.longdouble)
    assert abs(float(data.mean[1]) - float((train - column.offset).mean())) < 1e-3 * float(train.std())
    assert abs(float(data.std[1]) / float(train.std(ddof=1)) - 1) < 1e-4
    frame = pd.DataFrame({"a": NOISE, "t": values})
    frame.to_parquet(tmp_path / "new.parquet")
    _, inputs = read_inputs(tmp_path / "new.parquet", interface(data, "crop"))
    assert np.array_equal(inputs[:, 1], got.numpy())


def test_a_missing_value_far_from_zero_is_the_median(tmp_path: Path) -> None:
    values = SECONDS.copy()
    values[::7] = np.nan
    data, _ = load(tmp_path, table(t=values))
    column = data.columns[1]
    row = encode(pd.DataFrame({"a": [0.0, 0.0], "t": [np.nan, column.fill]}), data.columns, "new")
    assert float(row[0, 1]) == float(row[1, 1]) == pytest.approx(column.fill - column.offset)


def test_nanoseconds_are_told_apart_one_by_one(tmp_path: Path) -> None:
    """float64 has steps of 256 there."""
    values = 1_700_000_000_000_000_000 + RNG.permutation(ROWS)
    data, said = load(tmp_path, table(t=values))
    assert "counts the rows" in said[0]
    assert len(data.train.inputs[:, 1].unique()) == len(data.train)
    assert data.train.inputs[:, 1].frac().eq(0).all()


@pytest.mark.parametrize("values", [np.full(ROWS, 0.1), np.r_[[0.1 + 0.2] * 60, [0.3] * 60], np.full(ROWS, 1.7e9)])
def test_a_column_that_is_constant_but_for_rounding_stays_so(tmp_path: Path, values: np.ndarray) -> None:
    data, said = load(tmp_path, table(t=values), file="x.parquet")
    assert (data.columns[1].offset, float(data.std[1]), said) == (0, 1, [])


@pytest.mark.parametrize("values", [NOISE, RNG.integers(1990, 2020, ROWS), RNG.integers(0, 10**6, ROWS), NOISE * 1e20])
def test_numbers_near_zero_stay_as_they_are(tmp_path: Path, values: np.ndarray) -> None:
    assert load(tmp_path, table(t=values))[0].columns[1].offset == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.r_[RNG.random(ROWS - 1), 1e12], "loses its digits, as of .* 2 are left in float32"),
        (RNG.random(ROWS) * 1e-300, "loses its digits, as of .* 1 are left in float32"),
        (RNG.integers(2**60, 2**62, ROWS), r"holds whole numbers beyond 2\^53.* data.categorical or data.drop"),
        (RNG.integers(2**63, 2**64, ROWS, dtype=np.uint64), r"holds whole numbers beyond 2\^53"),
        (pd.array([None, *RNG.integers(2**60, 2**62, ROWS - 1)], "Int64"), r"holds whole numbers beyond 2\^53"),
        ([10**30 + number**9 for number in range(ROWS)], r"holds whole numbers beyond 2\^53"),
    ],
)
def test_digits_that_are_lost_are_said(tmp_path: Path, values: Any, said: str) -> None:
    part = ["train", "train", "test", "val", "train"] * 24
    part[-1] = part[0] = "train"
    _, lines = load(tmp_path, table(t=values, part=part), split="part")
    assert len(lines) == 1
    assert pd.Series(lines).str.match(f"column 't' {said}").all()


def test_large_names_are_kept_apart_as_categories(tmp_path: Path) -> None:
    values = 2**60 + RNG.integers(0, 5, ROWS)
    data, said = load(tmp_path, table(t=values), categorical=["t"])
    assert data.columns[1].categories == tuple(map(str, sorted(set(values.tolist()))))
    assert said == []


@pytest.mark.parametrize("values", [SECONDS, SECONDS.astype(np.int64)])
def test_values_to_predict_must_differ_in_float32(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"column 't', must differ by more than 128, the precision of float32"):
        load(tmp_path, table(t=values), target="t", task="regression")
    assert load(tmp_path, table(t=values - 1_700_000_000), target="t", task="regression")[0].task == "regression"
