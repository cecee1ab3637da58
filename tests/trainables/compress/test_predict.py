"""Predictions for files, arrays and tables."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

import orchestrator
from orchestrator.cli import app
from trainables import Column, DataError, Dataset, Split
from trainables.compress import (
    Artefact,
    ArtefactError,
    export_onnx,
    export_pt2,
    open_artefact,
    open_model,
    predict,
    time_artefacts,
    write_card,
)
from trainables.compress.card import interface

COLOURS = ("red", "green", "blue")


class Brightest(nn.Module):
    """The channel that has the most light."""

    def forward(self, images: Tensor) -> Tensor:
        return 10 * images.mean((2, 3))


def row(values: list[float]) -> nn.Module:
    """A weighted sum of features."""
    layer = nn.Linear(len(values), 1, bias=False)
    layer.weight.data = torch.tensor([values])
    return layer


def made(folder: Path, model: nn.Module, inputs: Tensor, classes: tuple[str, ...], *columns: Column) -> Artefact:
    """The model with its card in a folder."""
    split = Split(inputs, torch.zeros(len(inputs), dtype=torch.long))
    data = Dataset(split, split, split, classes, torch.zeros(1), torch.ones(1), columns)
    files = [folder / "model.onnx", folder / "model.pt2"]
    for file, export in zip(files, (export_onnx, export_pt2), strict=True):
        export(model, data.input_shape, file)
    write_card(folder / "card.json", interface(data, "crop"), files)
    return open_artefact(folder)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return made(tmp_path_factory.mktemp("colours"), Brightest(), torch.zeros(1, 3, 4, 4), COLOURS)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    columns = (Column("rooms", "numeric", fill=4.0), Column("town", "categorical", categories=("Ulm", "Bonn", None)))
    return made(tmp_path_factory.mktemp("table"), row([10.0, 1.0, 2.0, 3.0]), torch.zeros(1, 4), (), *columns)


def test_images_of_any_size_and_kind_are_told_apart(colours: Artefact, tmp_path: Path) -> None:
    files = []
    for name, size, kind in (("red", (4, 4), "png"), ("green", (30, 50), "jpg"), ("blue", (7, 3), "png")):
        files.append(tmp_path / f"{name}.{kind}")
        Image.new("RGB", size, {"green": "#00ff00"}.get(name, name)).save(files[-1])
    found = list(predict(colours, files))
    assert [one.label for one in found] == list(COLOURS)
    assert [one.source for one in found] == [str(file) for file in files]
    assert sum(found[0].probabilities.values()) == pytest.approx(1)
    assert found[0].probability == found[0].probabilities["red"] > 0.99


def test_a_pt2_file_says_the_same(colours: Artefact, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "x.png")
    (ours,) = predict(open_artefact(colours.path.with_name("model.pt2")), [tmp_path / "x.png"])
    (theirs,) = predict(colours, [tmp_path / "x.png"])
    assert ours.label == theirs.label == "blue"
    assert ours.probability == pytest.approx(theirs.probability)


@pytest.mark.parametrize("last", [False, True])
def test_arrays_are_taken_as_bytes_or_floats_with_channels_first_or_last(
    last: bool, colours: Artefact, tmp_path: Path
) -> None:
    images = np.zeros((2, 3, 4, 4), np.uint8)
    images[0, 2], images[1, 0] = 200, 90
    axes = (0, 2, 3, 1) if last else (0, 1, 2, 3)
    np.savez(tmp_path / "bytes.npz", images=images.transpose(axes), labels=np.zeros(2))
    np.savez(tmp_path / "floats.npz", np.float64(images.transpose(axes)) / 255)
    of_bytes, of_floats = (list(predict(colours, [tmp_path / f"{kind}.npz"])) for kind in ("bytes", "floats"))
    assert [one.label for one in of_bytes] == ["blue", "red"]
    assert [one.probabilities for one in of_bytes] == [pytest.approx(one.probabilities) for one in of_floats]
    assert [one.source for one in of_bytes] == [f"{tmp_path / 'bytes.npz'}:{number}" for number in (0, 1)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_of_a_table_become_values(kind: str, table: Artefact, tmp_path: Path) -> None:
    frame = pd.DataFrame({"town": ["Ulm", "Bonn", None, "Rome"], "unused": 1, "rooms": [1.0, 2.0, None, 3.0]})
    file = tmp_path / f"rows.{kind}"
    frame.to_csv(file, index=False) if kind == "csv" else frame.to_parquet(file)
    found = list(predict(table, [file]))
    assert [one.value for one in found] == [pytest.approx(value) for value in (11.0, 22.0, 43.0, 30.0)]
    assert found[0].label is None
    assert found[0].probabilities == {}


def array(**arrays: Any) -> Any:
    return lambda file: np.savez(file, **arrays)


@pytest.mark.parametrize(
    ("name", "write", "fault"),
    [
        ("none.png", None, "is missing"),
        ("text.txt", lambda file: file.write_text("x"), "must be .bmp, .gif"),
        ("rows.csv", lambda file: file.write_text("a\n1\n"), "since the model takes images"),
        ("broken.png", lambda file: file.write_bytes(b"PNG"), "cannot be read as an image: no image of a known format"),
        ("broken.npz", lambda file: file.write_bytes(b"PK"), "cannot be read"),
        ("two.npz", array(a=np.zeros(2), b=np.zeros(2)), "must hold an array called inputs, x, images, features, or"),
        ("shape.npz", array(x=np.zeros((2, 5))), r"must have the shape \(N, 3, 4, 4\), but has \(2, 5\)"),
        ("range.npz", array(x=np.full((1, 3, 4, 4), 7.0)), "must hold images from 0 to 1"),
        ("nan.npz", array(x=np.full((1, 3, 4, 4), np.nan)), "must be finite"),
        ("text.npz", array(x=np.array(["a"])), "must hold numbers, but holds <U1"),
        ("object.npz", array(x=np.array([{}])), "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, write: Any, fault: str, colours: Artefact, tmp_path: Path) -> None:
    if write:
        write(tmp_path / name)
    with pytest.raises(DataError, match=fault) as caught:
        list(predict(colours, [tmp_path / name]))
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_table_that_does_not_fit_is_named(table: Artefact, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("town\nUlm\n")
    with pytest.raises(DataError, match=re.escape(f"{file} must have the column 'rooms'")):
        list(predict(table, [file]))
    file.write_text("town,rooms\nUlm,many\n")
    with pytest.raises(DataError, match=r"rows\.csv"):
        list(predict(table, [file]))
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="since the model takes features"):
        list(predict(table, [tmp_path / "x.png"]))


def test_a_damaged_or_missing_model_is_named(colours: Artefact, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        open_artefact(tmp_path / "nowhere")
    with pytest.raises(ArtefactError, match=r"card.json must be the card of the model, but there is no such file"):
        open_artefact(tmp_path)
    for name in ("card.json", "model.onnx"):
        (tmp_path / name).write_bytes(colours.path.with_name(name).read_bytes())
    open_artefact(tmp_path)
    (tmp_path / "model.onnx").write_bytes(colours.path.read_bytes() + b"\0")
    with pytest.raises(ArtefactError, match="is damaged or has been replaced"):
        open_artefact(tmp_path)
    with pytest.raises(ArtefactError, match=r"card.json must be a file of which its card tells"):
        open_artefact(tmp_path / "card.json")


def test_open_model_predicts_what_the_command_prints(colours: Artefact, tmp_path: Path) -> None:
    files = [tmp_path / "red.png", tmp_path / "blue.jpg"]
    for file in files:
        Image.new("RGB", (9, 5), file.stem).save(file)
    for place in (colours.path.parent, str(colours.path.with_name("model.pt2"))):
        found = open_model(place).predict(files)
        done = CliRunner().invoke(app, ["predict", str(place), *map(str, files), "--json"])
        assert [one.label for one in found] == ["red", "blue"]
        kept = [{key: value for key, value in asdict(one).items() if value is not None} for one in found]
        assert kept == json.loads(done.output)


def test_open_model_is_offered_beside_the_runs() -> None:
    assert orchestrator.open_model is open_model


@pytest.mark.parametrize(
    "given",
    [
        lambda file: file,
        lambda file: str(file),
        lambda file: (name for name in [str(file)]),
        lambda file: file.parent.glob("one.png"),
        lambda file: pd.Series([str(file)]),
    ],
)
def test_paths_may_come_in_any_form(given: Callable[[Path], Any], colours: Artefact, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "one.png")
    (found,) = open_model(colours.path).predict(given(tmp_path / "one.png"))
    assert (found.source, found.label) == (str(tmp_path / "one.png"), "blue")


@pytest.mark.parametrize(
    "given",
    [
        lambda images: images,
        lambda images: images.transpose(0, 2, 3, 1),
        lambda images: np.asfortranarray(images),
        lambda images: images / 255,
        lambda images: (images / 255).astype(np.float32),
        torch.from_numpy,
        lambda images: torch.from_numpy(images / 255).requires_grad_(),
        lambda images: torch.from_numpy(images / 255).double(),
    ],
)
def test_arrays_and_tensors_are_predicted_for_as_npz_files_are(
    given: Callable[[np.ndarray], Any], colours: Artefact, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", images)
    wanted = list(predict(colours, [tmp_path / "x.npz"]))
    found = open_model(colours.path).predict(given(images))
    assert [one.label for one in found] == [one.label for one in wanted]
    assert [one.probabilities for one in found] == [pytest.approx(one.probabilities, abs=1e-5) for one in wanted]
    assert [one.source for one in found] == [f"inputs:{row}" for row in range(300)]


def test_half_precision_is_taken(colours: Artefact) -> None:
    images = torch.zeros(1, 3, 4, 4)
    images[0, 1] = 1
    for kind in (torch.float16, torch.bfloat16):
        assert [one.label for one in open_model(colours.path).predict(images.to(kind))] == ["green"]


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame(
            {"town": ["Ulm", "Bonn", None, "Rome"], "unused": 1, " rooms ": [1.0, 2.0, None, 3.0]}, index=[7, 7, 1, 0]
        ),
        {"town": ["Ulm", "Bonn", None, "Rome"], "rooms": [1, 2, None, 3]},
        {"town": pd.Categorical(["Ulm", "Bonn", None, "Rome"]), "rooms": np.array([1, 2, np.nan, 3], np.float32)},
        {"town": np.array(["Ulm", "Bonn", None, "Rome"], object), "rooms": torch.tensor([1, 2, torch.nan, 3])},
        {"town": ("Ulm", "Bonn", None, "Rome"), "rooms": [Decimal(1), Decimal(2), None, Decimal(3)]},
        pd.DataFrame({"rooms": pd.array([1, 2, None, 3], "Int64"), "town": ["Ulm", "Bonn", None, "Rome"]}),
        np.array([[1.0, 1, 0, 0], [2, 0, 1, 0], [4, 0, 0, 1], [3, 0, 0, 0]]),
    ],
)
def test_tables_in_memory_are_predicted_for(given: Any, table: Artefact) -> None:
    found = open_model(table.path).predict(given)
    assert [one.value for one in found] == [pytest.approx(value) for value in (11.0, 22.0, 43.0, 30.0)]


def test_dates_in_memory_are_taken_apart_as_in_files(tmp_path: Path) -> None:
    column = Column("sold", "date", fill=0.0, offset=19000.0, format="%Y-%m-%d")
    model = made(tmp_path, row([1.0] + [0.0] * (column.width - 1)), torch.zeros(1, column.width), (), column)
    file = tmp_path / "rows.csv"
    file.write_text("sold\n2024-01-31\n2023-02-01\n")
    wanted = [one.value for one in open_model(model.path).predict(file)]
    days = (date(2024, 1, 31), date(2023, 2, 1))
    assert wanted == [(day - date(1970, 1, 1)).days - 19000 for day in days]
    for given in (list(days), [str(day) for day in days], pd.to_datetime(list(days)), np.array(days, "datetime64[D]")):
        assert [one.value for one in open_model(model.path).predict({"sold": given})] == wanted


def test_no_inputs_have_no_predictions(colours: Artefact, table: Artefact) -> None:
    assert open_model(colours.path).predict([]) == []
    assert open_model(colours.path).predict(np.zeros((0, 3, 4, 4))) == []
    assert open_model(table.path).predict({"town": [], "rooms": []}) == []


@pytest.mark.parametrize(
    "given", [None, 7, Image.new("L", (4, 4)), [np.zeros((3, 4, 4))], [[0.5]], [b"x.png"], ["x", 1]]
)
def test_inputs_of_another_type_are_refused(given: Any, colours: Artefact) -> None:
    with pytest.raises(TypeError, match=r"inputs must be the paths of files, .*of type (\w|\.)+$"):
        open_model(colours.path).predict(given)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (
            np.zeros((3, 4, 4)),
            r"inputs must have the shape \(N, 3, 4, 4\), but has \(3, 4, 4\), .*: give inputs\[None\]",
        ),
        (np.zeros((1, 3, 5, 5)), r"inputs must have the shape \(N, 3, 4, 4\), but has \(1, 3, 5, 5\)$"),
        (np.array(0.5), r"inputs must have the shape"),
        (torch.full((1, 3, 4, 4), 255), "inputs must hold images from 0 to 1, or of uint8, but holds 255 to 255"),
        (np.array(["x.png"]), "inputs must hold numbers, but holds <U5"),
        (np.array([None]), "inputs must hold numbers, but holds object"),
        ({"red": [1.0]}, "inputs must be an array, since the model's inputs are images, but got a table"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(given: Any, fault: str, colours: Artefact) -> None:
    with pytest.raises(DataError, match=fault):
        open_model(colours.path).predict(given)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"town": ["Ulm"]}, "inputs must have the column 'rooms', which the model was trained on; it has town"),
        ({"town": ["Ulm"], "rooms": ["many"]}, "inputs, column 'rooms', must hold numbers, but holds 'many' in row 1"),
        ({"town": ["Ulm"], "rooms": [float("inf")]}, "inputs, column 'rooms', must be finite"),
        ({"town": ["Ulm", "Bonn"], "rooms": [1]}, "inputs must be a table of columns of one length"),
        ({"town": "Ulm", "rooms": 1}, "inputs must be a table of columns of one length"),
        (pd.DataFrame([[1, 2]], columns=["rooms", "rooms"]), "2 of 'rooms'"),
        (np.zeros((2, 3)), r"inputs must have the shape \(N, 4\), but has \(2, 3\)"),
        (np.zeros(4), r"give inputs\[None\]"),
    ],
)
def test_tables_in_memory_that_do_not_fit_are_refused(given: Any, fault: str, table: Artefact) -> None:
    with pytest.raises(DataError, match=fault):
        open_model(table.path).predict(given)


def test_a_table_for_features_without_names_is_refused(tmp_path: Path) -> None:
    model = made(tmp_path, row([1.0, 2.0]), torch.zeros(1, 2), ())
    with pytest.raises(DataError, match="inputs must be an array, since the model's features have no names"):
        open_model(model.path).predict({"a": [1.0], "b": [2.0]})


@pytest.mark.parametrize("wrong", [None, 3, ["model.onnx"], Brightest()])
def test_a_model_of_another_type_is_refused(wrong: Any, colours: Artefact) -> None:
    with pytest.raises(TypeError, match=r"path must be the path of a model's folder, .* is of type \w+$"):
        open_model(wrong)
    for model in (wrong, colours.path, str(colours.path)):
        with pytest.raises(TypeError, match=r"must be an opened model, .*; use open_model\(path\)\.predict\(inputs\)"):
            predict(model, ["x.png"])


def test_the_documented_code_runs(
    colours: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    ours, alone = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    folder = tmp_path / "runs" / "digits" / "models" / "0007-dense"
    shutil.copytree(colours.path.parent, folder)
    shutil.copy(folder / "model.onnx", folder / "model.int8.onnx")
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "photo.png")
    for place, code, said in ((tmp_path, ours, "photo.png blue"), (folder, alone, "red")):
        monkeypatch.chdir(place)
        (tmp_path / "code.py").write_text(code)
        runpy.run_path(str(tmp_path / "code.py"))
        assert said in capsys.readouterr().out


def test_artefacts_of_different_kinds_are_timed_side_by_side(colours: Artefact, table: Artefact) -> None:
    rows = time_artefacts([colours.path.parent, table.path.with_name("model.pt2")], batches=(1, 2), repeats=3)
    assert [(Path(row.path).name, row.batch) for row in rows] == [
        ("model.onnx", 1),
        ("model.pt2", 1),
        ("model.onnx", 2),
        ("model.pt2", 2),
    ]
