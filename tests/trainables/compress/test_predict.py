"""A user's files go in as the card says, and classes or values come out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from trainables import Column, DataError, Dataset, Split
from trainables.compress import (
    Artefact,
    ArtefactError,
    export_onnx,
    export_pt2,
    open_artefact,
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


def test_artefacts_of_different_kinds_are_timed_side_by_side(colours: Artefact, table: Artefact) -> None:
    rows = time_artefacts([colours.path.parent, table.path.with_name("model.pt2")], batches=(1, 2), repeats=3)
    assert [(Path(row.path).name, row.batch) for row in rows] == [
        ("model.onnx", 1),
        ("model.pt2", 1),
        ("model.onnx", 2),
        ("model.pt2", 2),
    ]
