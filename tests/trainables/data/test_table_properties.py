"""Any table in any dialect gives the features that its values make by the documentation."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables import DataConfig, Dataset
from trainables.data.tables import read_table

ROWS = 30
PARTS = ["train"] * 18 + ["val"] * 6 + ["test"] * 6
TRAIN = slice(0, 18)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=8
).filter(lambda name: not name.startswith("#"))
SPECIAL = st.sampled_from(
    ["a.b", "two words", "split", "größe", "line\nfeed", 'q"uote', "semi;colon", "com,ma", "#", "1"]
)
MISSING = st.sampled_from(["", "NA", "null", "n/a"])
TEXTS = st.lists(
    st.sampled_from(["red", "dark blue", "größer", "a;b", "c,d", 'e"f', "it's", "yes"]), min_size=ROWS, max_size=ROWS
)
WHOLE = st.integers(-(10**6), 10**6)


def floats(draw: st.DrawFn) -> list[float]:
    """Of some size, somewhere, with few digits so that they are the same in text."""
    centre, spread = draw(st.sampled_from([(0, 1), (0, 1e6), (1e3, 10), (1.7e9, 60), (-2.5e12, 1e3)]))
    steps = draw(st.lists(st.integers(-1000, 1000), min_size=ROWS, max_size=ROWS, unique=True))
    return [round(centre + spread * step / 1000, 4) for step in steps]


@st.composite
def columns(draw: st.DrawFn) -> pd.Series:
    """Numbers, truth values or texts, some of them missing."""
    kind = draw(st.sampled_from(["floats", "whole", "truth", "texts"]))
    if kind == "texts":
        values: Any = draw(TEXTS)
    elif kind == "truth":
        values = draw(st.lists(st.booleans(), min_size=ROWS, max_size=ROWS))
    else:
        values = floats(draw) if kind == "floats" else draw(st.lists(WHOLE, min_size=ROWS, max_size=ROWS))
    series = pd.Series(values, dtype=object)
    gaps = draw(st.sets(st.integers(1, ROWS - 1), max_size=6))
    series[list(gaps)] = None
    return series


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(st.lists(st.one_of(SPECIAL, NAMES), min_size=1, max_size=4, unique_by=lambda name: clean(name)))
    taken = {"", "y", "part"}
    frame = pd.DataFrame({name: draw(columns()) for name in names if clean(name) not in taken})
    return frame.assign(y=np.tile(["no", "yes"], ROWS // 2), part=PARTS)


def clean(name: str) -> str:
    from unicodedata import normalize

    return normalize("NFC", name.strip())


def features(frame: pd.DataFrame, data: Dataset) -> np.ndarray:
    """By the documentation: medians, categories by name, a number near all where they are far from 0."""
    found = []
    for column in data.columns:
        (series,) = (frame[name] for name in frame if clean(str(name)) == column.name)
        train = series[TRAIN].dropna()
        if all(isinstance(value, str) for value in series.dropna()):
            names = [*sorted(set(train)), *([None] if series[TRAIN].isna().any() else [])]
            assert list(column.categories) == names
            found += [[float(value == name or (value is None and name is None)) for value in series] for name in names]
        else:
            middle = float(np.median(train.astype(float)))
            exact = np.array([middle if value is None else float(value) for value in series])
            far = 10_000 * np.std(train.astype(float)) < abs(np.mean(train.astype(float))) and train.nunique() > 1
            assert (column.offset != 0) == far
            assert column.fill == middle
            found.append(exact - column.offset)
    return np.array(found).T.astype(np.float32)


def load(path: Path, **dialect: Any) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_table(DataConfig(name="table", path=str(path), target="y", split="part", **dialect))


def check(frame: pd.DataFrame, data: Dataset) -> None:
    inputs = torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs]).numpy()
    expected = features(frame, data)
    assert [column.name for column in data.columns] == [clean(str(name)) for name in frame if name not in ("y", "part")]
    assert np.array_equal(inputs, expected)
    assert data.mean.isfinite().all()
    numeric = [place for place, std in enumerate(data.std) if std != 1]
    assert np.allclose(data.mean[numeric], expected[TRAIN].astype(float).mean(0)[numeric], rtol=1e-5, atol=1e-6)
    assert data.test.targets.tolist() == [0, 1] * 3


def is_usable(frame: pd.DataFrame) -> bool:
    """True if each column has a value to train on, and one at least is there."""
    features = frame.drop(columns=["y", "part"])
    return len(features.columns) > 0 and bool(features[TRAIN].notna().any().all())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(data=st.data(), frame=tables().filter(is_usable))
@QUICK
def test_a_csv_file_of_any_dialect(folder: Path, data: st.DataObject, frame: pd.DataFrame) -> None:
    separator = data.draw(st.sampled_from([",", ";", "\t", "|"]), "separator")
    decimal = data.draw(st.sampled_from([".", ","]), "decimal")
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), "encoding")
    ending = data.draw(st.sampled_from(["\n", "\r\n"]), "ending")
    quoting = data.draw(st.sampled_from([0, 1, 2]), "quoting")
    missing, end = data.draw(MISSING, "missing"), data.draw(st.sampled_from(["", ending, ending * 3]), "end")
    options = {"index": False, "sep": separator, "decimal": decimal, "lineterminator": ending, "quoting": quoting}
    text = as_written(frame, decimal).to_csv(na_rep=missing, **options) + end
    path = folder / "x.csv"
    path.write_bytes(text.encode(encoding))
    check(frame, load(path, **({} if is_clear(frame, decimal) else {"decimal": decimal})))


def as_written(frame: pd.DataFrame, decimal: str) -> pd.DataFrame:
    """pandas writes the decimal sign of columns of floats only."""
    return frame.apply(
        lambda column: column.map(lambda value: str(value).replace(".", decimal) if isinstance(value, float) else value)
    )


def is_clear(frame: pd.DataFrame, decimal: str) -> bool:
    """True if a number tells the decimal sign: one without exactly three digits behind it, or with a 0 before it."""
    texts = [str(value) for name in frame for value in frame[name].dropna() if isinstance(value, float)]
    return not texts or any(len(text.partition(".")[2]) != 3 or "e" in text for text in texts)


@given(frame=tables().filter(is_usable))
@QUICK
def test_a_parquet_file(folder: Path, frame: pd.DataFrame) -> None:
    frame.convert_dtypes().to_parquet(folder / "x.parquet")
    check(frame, load(folder / "x.parquet"))
