"""Dates in tables: seen in whatever form they are written, and taken apart on demand."""

from datetime import date, datetime
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from trainables import DataConfig, DataError, Dataset, load_data
from trainables.data.columns import encode

ROWS = 60
RNG = np.random.default_rng(0)
FORMS = [
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%m/%d/%y", "%d-%m-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%B %d, %Y", "%a, %d %b %Y", "%A, %d. %B %Y"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+02:00", "%Y-%m-%dT%H:%M:%S.%f"),
    *("%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y, %I:%M:%S%p", "%a, %d %b %Y %H:%M:%S GMT"),
    *("%Y-%m", "%b %Y", "%m/%Y"),
]


def days(count: int) -> pd.DatetimeIndex:
    """That many different days, over all rows."""
    return pd.DatetimeIndex(
        np.resize(pd.date_range("2023-11-20", periods=count, freq="9D") + pd.Timedelta(hours=15), ROWS)
    )


def frame(when: Any) -> pd.DataFrame:
    part = ["train"] * 40 + ["val"] * 10 + ["test"] * 10
    return pd.DataFrame(
        {"a": RNG.normal(size=ROWS), "when": when, "y": np.tile(["no", "yes"], ROWS // 2), "part": part}
    )


def load(folder: Path, when: Any, file: str = "x.csv", **settings: Any) -> Dataset:
    table = frame(when)
    table.to_csv(folder / file, index=False) if file.endswith("csv") else table.to_parquet(folder / file)
    wanted = {"name": "table", "path": str(folder / file), "target": "y", "split": "part", **settings}
    return load_data(DataConfig(**wanted))


def every(data: Dataset) -> torch.Tensor:
    """The features of all rows in their order."""
    return torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])


@pytest.mark.parametrize("count", [1, 14, 60])
@pytest.mark.parametrize("form", FORMS)
def test_texts_are_seen_as_dates(tmp_path: Path, form: str, count: int) -> None:
    with pytest.raises(
        DataError, match=r"x\.csv, column 'when', must be named in data\.dates .*data\.drop, as it holds"
    ):
        load(tmp_path, days(count).strftime(form))


@pytest.mark.parametrize(
    "when",
    [
        days(14),
        days(14).tz_localize("Europe/Berlin"),
        [date(2024, 1, 1 + row % 14) for row in range(ROWS)],
        pd.Series(days(60)).where(np.arange(ROWS) % 7 > 0),
        days(14).astype("datetime64[s]"),
        days(14).strftime("%Y%m%d"),
    ],
)
def test_dates_in_parquet_are_seen(tmp_path: Path, when: Any) -> None:
    with pytest.raises(DataError, match=r"column 'when', must be named in data\.dates .*such as '202[34]"):
        load(tmp_path, when, "x.parquet")
    column = load(tmp_path, when, "x.parquet", dates=["when"]).columns[1]
    assert column.kind == "date"


@pytest.mark.parametrize("setting", [{"drop": ["when"]}, {"categorical": ["when"]}, {"dates": ["when"]}])
def test_each_setting_that_the_message_names_is_taken(tmp_path: Path, setting: dict[str, Any]) -> None:
    for file in ("x.csv", "x.parquet"):
        kinds = {column.name: column for column in load(tmp_path, days(14).normalize(), file, **setting).columns}
        if "categorical" in setting:
            assert kinds["when"].categories[0] == "2023-11-20"
        assert ("when" in kinds) == ("drop" not in setting)


@pytest.mark.parametrize(
    "texts",
    [
        *(
            ["red", "blue"],
            ["Paris 12345", "Rome 54321"],
            ["10115", "x"],
            ["1.2.3", "1.2.4"],
            ["192.168.1.1", "10.0.0.1"],
        ),
        *(
            ["12-34-56", "11-22-33"],
            ["2020-2021", "2021-2022"],
            ["555-1234", "555-9876"],
            ["1/2", "3/4"],
            ["May", "June"],
        ),
        *(["AB-12-2024", "CD-11-2024"], ["$1,234.00", "$22,300.00"], ["3 x 4 x 5", "2 x 2 x 12"], ["10:30", "11:45"]),
    ],
)
def test_other_texts_stay_categories(tmp_path: Path, texts: list[str]) -> None:
    assert load(tmp_path, np.resize(texts, ROWS)).columns[1].kind == "categorical"


def expected(moments: pd.DatetimeIndex, first: pd.Timestamp, times: bool) -> list[list[float]]:
    """By the documentation, one row after another."""
    rows = []
    for moment in moments:
        clock = (moment - moment.normalize()) / pd.Timedelta(days=1)
        year = (moment.day_of_year - 1) / (366 if moment.is_leap_year else 365)
        angles = [2 * pi * share for share in (year, moment.day_of_week / 7, *([clock] if times else []))]
        rows.append(
            [(moment - first) / pd.Timedelta(days=1), *(turn(angle) for angle in angles for turn in (sin, cos))]
        )
    return rows


@pytest.mark.parametrize("form", [form for form in FORMS if "%d" in form])
def test_dates_are_taken_apart(tmp_path: Path, form: str) -> None:
    when = days(60)
    times = "%M" in form
    moments = when if times else when.normalize()
    if "+02:00" in form:
        moments = moments - pd.Timedelta(hours=2)
    data = load(tmp_path, when.strftime(form), dates=["when"])
    column = data.columns[1]
    assert (column.kind, column.width, column.times) == ("date", 7 if times else 5, times)
    rows = expected(moments, moments[0].normalize(), times)
    assert np.allclose(every(data)[:, 1:], rows, atol=1e-5)
    assert np.allclose(data.mean[1:], [np.mean([row[0] for row in rows[:40]]), *[0] * (column.width - 1)], rtol=1e-5)


@pytest.mark.parametrize("missing", ["", "-", "unknown"])
def test_a_missing_date_is_in_the_middle_and_at_no_place(tmp_path: Path, missing: str) -> None:
    when = days(60).normalize()
    texts = when.strftime("%d.%m.%Y").to_numpy(dtype=object)
    texts[5] = missing
    data = load(tmp_path, texts, dates=["when"])
    known = (when[:40].delete(5) - when[0]).days
    assert every(data)[5, 1:].tolist() == [float(np.median(known)), 0, 0, 0, 0]


def test_whole_numbers_that_are_dates_are_said(tmp_path: Path) -> None:
    numbers = days(14).strftime("%Y%m%d").astype(int)
    with pytest.warns(
        UserWarning, match=r"x\.csv: column 'when' holds dates as whole numbers: data\.dates takes them apart"
    ):
        load(tmp_path, numbers)
    texts = load(tmp_path, days(14).strftime("%Y-%m-%d"), "y.csv", dates=["when"])
    assert torch.equal(every(load(tmp_path, numbers, dates=["when"]))[:, 1:], every(texts)[:, 1:])


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (["red"] * ROWS, "must hold dates, as data.dates says, but holds 'red'"),
        (np.arange(ROWS) / 2, "must hold dates, as data.dates says, but holds '0'"),
        (
            ["01/02/2024", "03/04/2024"] * 30,
            "day and the month can be told apart, such as 2024-01-31, but holds '01/02/2024'",
        ),
        (
            ["2024-01-05"] * 59 + ["5 Jan 2024"],
            "must hold dates of the form ISO8601, but holds '5 Jan 2024' in row 60 of x.csv",
        ),
        (["5 Jan 2024"] + ["2024-01-05", "2024-01-06"] * 29 + ["x"], "must hold dates of one form"),
    ],
)
def test_what_cannot_be_taken_apart_is_named(tmp_path: Path, when: Any, reason: str) -> None:
    with pytest.raises(DataError, match=f"column 'when', .*{reason}"):
        load(tmp_path, when, dates=["when"])


def test_the_same_day_either_way_is_not_ambiguous(tmp_path: Path) -> None:
    assert load(tmp_path, ["01/01/2024", "02/02/2024"] * 30, dates=["when"]).columns[1].width == 5


@pytest.mark.parametrize("new", ["2030-05-06", datetime(2030, 5, 6), pd.Timestamp("2030-05-06"), "2030-05-06T00:00Z"])
def test_rows_to_predict_may_store_dates_in_another_way(tmp_path: Path, new: Any) -> None:
    """Texts by the form of training or by ISO 8601, or dates as such."""
    stored = load(tmp_path, days(14), "x.parquet", dates=["when"]).columns[1:]
    row = encode(pd.DataFrame({"when": [new]}), stored, "new")
    assert np.allclose(row[0], expected(pd.DatetimeIndex(["2030-05-06"]), days(1)[0].normalize(), True), atol=1e-4)
    with pytest.raises(DataError, match=r"new, column 'when', must hold dates .*but holds 'soon' in row 2"):
        encode(pd.DataFrame({"when": ["2030-05-06", "soon"]}), stored, "new")


def test_dates_are_no_target_unless_they_are_said_to_be_classes(tmp_path: Path) -> None:
    for file in ("x.csv", "x.parquet"):
        when = days(2).normalize()
        with pytest.raises(DataError, match=r"column 'when', must hold numbers or classes .*data.task: classification"):
            load(tmp_path, when, file, target="when")
        assert load(tmp_path, when, file, target="when", task="classification").classes == ("2023-11-20", "2023-11-29")
