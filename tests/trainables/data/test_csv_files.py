"""CSV files in the dialects that spreadsheets, databases and programs write."""

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from trainables import DataConfig, DataError, Dataset, load_data
from trainables.data.dialect import Dialect
from trainables.data.table_files import read_frame

ROWS = 24
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size": np.round(RNG.normal(20, 5, ROWS), 2),
        "count": RNG.integers(1, 5000, ROWS),
        "town": RNG.choice(["Ulm", "Bonn"], ROWS),
        "open": RNG.random(ROWS) < 0.5,
        "y": np.tile(["no", "yes"], ROWS // 2),
    }
)


def read(content: str | bytes, folder: Path, name: str = "x.csv", **dialect: Any) -> pd.DataFrame:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_frame(file, Dialect(**dialect))[0]


def refused(content: str | bytes, folder: Path, name: str = "x.csv", **dialect: Any) -> str:
    with pytest.raises(DataError) as told:
        read(content, folder, name, **dialect)
    message = str(told.value)
    assert message.startswith(str(folder / name))
    assert "\n" not in message
    return message


def load(folder: Path, content: str | bytes, **settings: Any) -> Dataset:
    (folder / "x.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_data(DataConfig(name="table", path=str(folder / "x.csv"), **{"target": "y", **settings}))


def written(**options: Any) -> str:
    return FRAME.to_csv(index=False, **options)


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz"])
def test_separator_and_decimal_sign_are_found(tmp_path: Path, sep: str, decimal: str, name: str) -> None:
    content = written(sep=sep, decimal=decimal).encode()
    frame = read(gzip.compress(content) if name.endswith("gz") else content, tmp_path, name)
    pd.testing.assert_frame_equal(frame, FRAME, check_dtype=False)
    assert [frame[name].dtype.kind for name in ("size", "count", "open")] == ["f", "i", "b"]


def test_training_is_the_same_in_every_dialect(tmp_path: Path) -> None:
    plain = load(tmp_path, written())
    for options in ({"sep": ";", "decimal": ","}, {"sep": "\t"}, {"quoting": 1}, {"lineterminator": "\r\n"}):
        data = load(tmp_path, written(**options))
        assert torch.equal(data.train.inputs, plain.train.inputs)
        assert (data.columns, data.classes) == (plain.columns, plain.classes)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,5", "2,25", "-3"], [1.5, 2.25, -3]),
        (["1.234,5", "12", "1.000.000,75"], [1234.5, 12, 1_000_000.75]),
        (["1,234.5", "12", "1,000,000.75"], [1234.5, 12, 1_000_000.75]),
        (["1 234,5", "12", "7\u00a0000,25"], [1234.5, 12, 7000.25]),
        (["1'234.5", "12", "1\u2019000.25"], [1234.5, 12, 1000.25]),
        (["0,123", "4,567", "8"], [0.123, 4.567, 8]),
        ([",5", "1,", "2,5e3"], [0.5, 1, 2500]),
        (["\u22121,5", "+2,5", "3"], [-1.5, 2.5, 3]),
        (["1.000.000", "2.000.000", "3"], [1_000_000, 2_000_000, 3]),
    ],
)
def test_numbers_with_groups_and_either_sign(tmp_path: Path, texts: list[str], numbers: list[float]) -> None:
    frame = read("a;y\n" + "".join(f"{text};yes\n" for text in texts), tmp_path)
    assert frame["a"].tolist() == numbers


def test_groups_of_three_in_a_file_of_commas_are_thousands(tmp_path: Path) -> None:
    assert read('a,y\n"1,234",yes\n"12,500",no\n', tmp_path)["a"].tolist() == [1234, 12500]


@pytest.mark.parametrize(("other", "value"), [("0.5", 1234), ("0,5", 1.234)])
def test_other_columns_tell_how_an_ambiguous_number_is_meant(tmp_path: Path, other: str, value: float) -> None:
    assert read(f"a;b\n1,234;{other}\n2,500;{other}\n", tmp_path)["a"].tolist()[0] == value


def test_points_are_groups_beside_decimal_commas(tmp_path: Path) -> None:
    """pandas alone would read 1.5 thousand as 1.5."""
    assert read("a;b\n1.500;0,5\n2.250;1,5\n", tmp_path)["a"].tolist() == [1500, 2250]
    assert read("a;b\n1.500;0,5\n2.25;1,5\n", tmp_path)["a"].tolist() == [1.5, 2.25]


@pytest.mark.parametrize(("decimal", "value"), [(".", 1234), (",", 1.234)])
def test_an_ambiguous_number_needs_the_setting(tmp_path: Path, decimal: str, value: float) -> None:
    content = "a;y\n1,234;yes\n2,500;no\n"
    told = refused(content, tmp_path)
    assert "column 'a'" in told
    assert "data.decimal must say '.' or ','" in told
    assert "'1,234'" in told
    assert read(content, tmp_path, decimal=decimal)["a"].tolist()[0] == value


def test_the_setting_holds_for_points_too(tmp_path: Path) -> None:
    content = "a;y\n1.234;yes\n2.500;no\n"
    assert read(content, tmp_path)["a"].tolist() == [1.234, 2.5]
    assert read(content, tmp_path, decimal=",")["a"].tolist() == [1234, 2500]


@pytest.mark.parametrize("separator", ["~", ":", " ", "&"])
def test_the_separator_may_be_set(tmp_path: Path, separator: str) -> None:
    content = f"a{separator}y\n1{separator}yes\n2{separator}no\n"
    assert list(read(content, tmp_path)) == [f"a{separator}y"]
    assert read(content, tmp_path, separator=separator)["a"].tolist() == [1, 2]
    many = content + f"{separator.join('3no')}\n"
    assert "data.separator" in refused(many.replace(separator, ","), tmp_path, separator=",")


def test_names_with_the_wrong_sign_do_not_mislead(tmp_path: Path) -> None:
    frame = read("Preis, EUR;Menge;Ort\n1,5;2;x\n2,5;3;y\n", tmp_path)
    assert list(frame) == ["Preis, EUR", "Menge", "Ort"]
    assert frame["Preis, EUR"].tolist() == [1.5, 2.5]
    frame = read("name,items,y\nDoe,a;b;c,1\nRoe,d;e;f,2\n", tmp_path)
    assert list(frame) == ["name", "items", "y"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    frame = read("größe,y\n1,ja\n2,nö\n".encode(encoding), tmp_path)
    assert (list(frame), frame["y"].tolist()) == (["größe", "y"], ["ja", "nö"])


def test_a_mark_goes_before_utf_16_of_either_order(tmp_path: Path) -> None:
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        assert list(read(mark + "größe,y\n1,ja\n".encode(encoding), tmp_path)) == ["größe", "y"]


def test_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    content = "größe,y\n1,ja\n2,nö\n".encode("cp1252")
    told = refused(content, tmp_path)
    assert "utf-8" in told
    assert "the byte 0xf6 in line 1" in told
    assert "data.encoding" in told
    assert list(read(content, tmp_path, encoding="cp1252")) == ["größe", "y"]
    assert "in line 3" in refused("a,y\n1,ja\n2,nö\n".encode("cp1252"), tmp_path)
    assert "data.encoding" in refused("a,y\n1,ja\n".encode("utf-16-le"), tmp_path)
    assert "ascii" in refused("a,y\n1,nö\n", tmp_path, encoding="ascii")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"separator": ";;"}, "must be one character"),
        ({"separator": ""}, "must be one character"),
        ({"separator": '"'}, "must be one character"),
        ({"encoding": "klingon"}, "must be an encoding that Python knows, such as cp1252, but got 'klingon'"),
        ({"decimal": "'"}, "'.' or ','"),
    ],
)
def test_settings_of_the_dialect_are_checked(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        DataConfig(name="table", **changes)


@pytest.mark.parametrize(
    "missing", ["", "NA", "null", "-", "n/a", "?", "NaN", "None", ".", "--", "N.A.", "NULL", "#N/A"]
)
@pytest.mark.parametrize("decimal", [".", ","])
def test_spellings_of_missing_numbers(tmp_path: Path, missing: str, decimal: str) -> None:
    frame = read(f"a;y\n1{decimal}5;yes\n{missing};no\n2{decimal}25;yes\n", tmp_path)
    assert np.array_equal(frame["a"], [1.5, np.nan, 2.25], equal_nan=True)


def test_a_sign_may_be_a_name(tmp_path: Path) -> None:
    """As in the classes + and - of UCI's credit approval."""
    assert load(tmp_path, "a,y\n" + "1,+\n2,-\n3,+\n4,-\n5,-\n6,+\n" * 3).classes == ("+", "-")


def test_spaces_around_names_and_values_do_not_count(tmp_path: Path) -> None:
    frame = read(
        ' size , "town" ,open , y \n 1.5 , "Ulm, old " , true , yes\n 2 ,Bonn ,False,  no  \n3,NA ,TRUE,yes\n', tmp_path
    )
    assert list(frame) == ["size", "town", "open", "y"]
    assert frame["size"].tolist() == [1.5, 2, 3]
    assert frame["town"].tolist()[:2] == ["Ulm, old", "Bonn"]
    assert pd.isna(frame["town"][2])
    assert frame["open"].tolist() == [True, False, True]
    assert frame["y"].tolist() == ["yes", "no", "yes"]


@pytest.mark.parametrize("text", ["true,false", "True,False", "TRUE,FALSE", "true,FALSE"])
def test_truth_values_are_numbers_also_beside_missing_ones(tmp_path: Path, text: str) -> None:
    yes, no = text.split(",")
    rows = f"{yes},a\n{no},b\n,a\n{yes},b\n" * 5
    data = load(tmp_path, f"open,y\n{rows}")
    assert [(column.name, column.kind) for column in data.columns] == [("open", "numeric")]
    assert set(data.train.inputs[:, 0].tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("end", ["\n\n\n", "\r\n \r\n", ";;\n;;\n", "\n;;\n\n"])
def test_empty_lines_at_the_end_are_no_rows(tmp_path: Path, end: str) -> None:
    frame = read(f"a;b;y\n1;2;yes\n;;\n3;;no\n{end}", tmp_path)
    assert len(frame) == 3


@pytest.mark.parametrize(
    "content",
    [
        "# from the lab\n#, 2024\n\na,b,y\n1,2,yes\n3,4,no\n",
        "a,b,y\n1,2,yes\n# checked, by hand\n3,4,no\n# end\n",
        "sep=;\na;b;y\n1;2;yes\n3;4;no\n",
        "# a,b,y\n1,2,yes\n3,4,no\n",
        "a,b,y,\n1,2,yes,\n3,4,no,\n",
        "a,b,y\n1,2,yes,\n3,4,no,\n",
        "a,b,y\r1,2,yes\r3,4,no\r",
        "a,b,y\n1,2,yes\n3,4,no",
    ],
)
def test_lines_beside_the_rows(tmp_path: Path, content: str) -> None:
    frame = read(content, tmp_path)
    assert list(frame) == ["a", "b", "y"]
    assert frame[["a", "b"]].to_numpy().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("name", ["#", "#rows"])
def test_a_name_may_begin_with_the_sign_of_a_comment(tmp_path: Path, name: str) -> None:
    assert list(read(f"{name},y\n1,yes\n2,no\n", tmp_path)) == [name, "y"]
    assert list(read("#,y\nx,yes\n", tmp_path)) == ["#", "y"]
    assert list(read(f"a,{name},y\nx,1,yes\nx,2,no\n", tmp_path)) == ["a", name, "y"]


def test_a_value_may_begin_with_the_sign_of_a_comment(tmp_path: Path) -> None:
    frame = read('colour,y\n#ff0000,1\n#00ff00,2\n"a\n# b",3\n', tmp_path)
    assert frame["colour"].tolist() == ["#ff0000", "#00ff00", "a\n# b"]


@pytest.mark.parametrize(
    "names",
    [
        ["a.b", "c d", "e\nf", "größe", "split", "y"],
        ["a,b", "c;d", 'say "hi"', "(x)", "1", "y"],
        ["mean", "columns", "#", "日本", "{x}", "y"],
    ],
)
@pytest.mark.parametrize("sep", [",", ";"])
def test_names_of_odd_characters(tmp_path: Path, names: list[str], sep: str) -> None:
    frame = pd.DataFrame(RNG.normal(size=(ROWS, len(names))), columns=names).assign(y=FRAME["y"])
    data = load(tmp_path, frame.to_csv(index=False, sep=sep), drop=[names[0]])
    assert [column.name for column in data.columns] == names[1:-1]


def test_names_are_found_with_spaces_and_in_pieces(tmp_path: Path) -> None:
    """A Mac writes an umlaut as two characters, which look the same."""
    content = " gro\u0308\u00dfe , y \n" + "1,yes\n2,no\n3,yes\n4,no\n" * 3
    (column,) = load(tmp_path, content, target=" y", categorical=["gr\u00f6\u00dfe"]).columns
    assert (column.name, column.kind) == ("gr\u00f6\u00dfe", "categorical")


@pytest.mark.parametrize("header", ["a,a,y", "a, a ,y", '"a","a ",y', "gr\u00f6,gro\u0308,y"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, header: str) -> None:
    assert "one column of each name, but has 2 of" in refused(f"{header}\n1,2,yes\n", tmp_path)


@pytest.mark.parametrize(
    ("content", "line", "count"),
    [
        ("a,b,y\n1,2,yes\n3,4\n5,6,no\n", 3, 2),
        ("a,b,y\n1,2,yes\n3\n", 3, 1),
        ("# x\n\na,b,y\n1,2,yes\n3,4\n", 5, 2),
        ('a,b,y\n"1\n",2,yes\n3,4\n', 4, 2),
        ("a,b,y\n1,2,yes\n3,4,no,5\n", 3, 4),
        ("a,b,y\n1,2,yes,7\n3,4,no,5\n", 2, 4),
    ],
)
def test_rows_of_more_or_fewer_values_are_named(tmp_path: Path, content: str, line: int, count: int) -> None:
    told = refused(content, tmp_path)
    assert (
        f"each row must have 3 values, as the first line has names, but line {line} has {count} parted by ','" in told
    )
    assert "data.separator" in told
    assert "data.decimal" in told


@pytest.mark.parametrize("content", ["", "\n\n", "# only\n", "a,y", "a,y\n", "a,y\n\n\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    assert re.search("must have rows|must name its columns", refused(content, tmp_path))


def test_a_quote_that_does_not_end_is_refused(tmp_path: Path) -> None:
    assert "cannot be read as a table" in refused('a,y\n"1,yes\n2,no\n', tmp_path)


@pytest.mark.parametrize("task", ["numeric", "categorical"])
def test_a_text_among_numbers_is_named(tmp_path: Path, task: str) -> None:
    rows = [f"{number / 2},{'yes' if number % 2 else 'no'}" for number in range(60)]
    rows[17] = "old,yes"
    content = "\n".join(["age,y", *rows])
    with pytest.raises(
        DataError, match=r"column 'age', must hold numbers only, .*data.categorical.*'old' in row 18 of x"
    ):
        load(tmp_path, content)
    assert load(tmp_path, content, categorical=["age"]).columns[0].kind == "categorical"


def test_numbers_may_be_names_of_few_categories(tmp_path: Path) -> None:
    rows = [f"{'3+' if number % 9 == 0 else number % 3},{number % 2}" for number in range(60)]
    assert load(tmp_path, "\n".join(["rooms,y", *rows])).columns[0].categories == ("0", "1", "2", "3+")
