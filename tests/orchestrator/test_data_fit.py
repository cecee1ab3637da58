"""What a sweep asks of its data, said before anything starts."""

import pytest

from orchestrator import SweepError, data_fit
from orchestrator.data_fit import check_data
from trainables import DataError, load_data


@pytest.fixture
def table(tmp_path):
    """The data section for a table of two features, with a label and a value to predict."""
    rows = [f"{row % 7},{row % 5 / 3},{'ab'[row % 2]},{row / 7}" for row in range(40)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["x,y,label,value", *rows]))

    def data(target):
        other = {"label": "value", "value": "label"}[target]
        return {"name": "table", "path": str(path), "target": target, "drop": [other]}

    return data


def sweep_of(tiny, data, model="mlp", augment=None, shared=None, **changes):
    space = {"parameters": {"model.width": {"grid": [8, 16]}}}
    train = {"data": data, "model": {"name": model}, "augment": augment or {"shift": 0}, "epochs": 4, **(shared or {})}
    return tiny(**{"space": space, "train": train, **changes})


def test_what_fits_is_let_through(tiny, table):
    check_data(sweep_of(tiny, table("label"), augment={"shift": 0, "mixup": 0.2}))
    check_data(sweep_of(tiny, table("value"), metric="val_r2"))
    check_data(sweep_of(tiny, {"name": "digits"}, model="resnet", augment={"shift": 0.1}))


@pytest.mark.parametrize(
    ("target", "changes", "message"),
    [
        (
            "label",
            {"model": "resnet"},
            "train.model.name: 'resnet' is for images, but the data has 2 features; use mlp",
        ),
        ("label", {"augment": {"shift": 0.1}}, "train.augment.shift: is for images, but the data has 2 features"),
        ("label", {"metric": "val_r2"}, "metric: must be one that classification has, .* but got 'val_r2'"),
        ("value", {}, "metric: must be one that regression has, such as val_loss or val_r2, but got 'val_accuracy'"),
        (
            "value",
            {"metric": "val_r2", "shared": {"label_smoothing": 0.1}},
            r"train\.label_smoothing: must be 0, as table has values to predict, but got 0.1",
        ),
        (
            "label",
            {"workers": {"count": 9}, "shared": {"parallel": {"stages": 9}}},
            r"train\.parallel\.stages: must be at most the number of layers with parameters .*, 5, but got 9",
        ),
        (
            "label",
            {"workers": {"count": 2}, "shared": {"parallel": {"stages": 2, "cut": ["33"]}}},
            r"train\.parallel\.cut: must name layers of the model, but got '33'",
        ),
    ],
)
def test_what_does_not_fit_is_named(tiny, table, target, changes, message):
    with pytest.raises(SweepError, match=f"^{message}"):
        check_data(sweep_of(tiny, table(target), **changes))


def test_a_value_of_the_space_that_does_not_fit_is_named(tiny, table):
    space = {"parameters": {"augment.rotate": {"grid": [0.0, 10.0]}, "model.width": 8}}
    with pytest.raises(SweepError, match=r"^space\.parameters\.augment\.rotate: is for images"):
        check_data(sweep_of(tiny, table("label"), space=space))


def test_data_that_only_some_of_the_space_asks_for_are_read_too(tiny, table):
    space = {"parameters": {"data.target": {"choice": ["label", "lable"]}, "model.width": 8}}
    with pytest.raises(DataError, match=r"must have a column 'lable' as data.target says, .* did you mean 'label'"):
        check_data(sweep_of(tiny, table("label"), space=space))


def test_data_that_are_parted_in_other_ways_are_read_once(tiny, table, monkeypatch):
    read = []
    monkeypatch.setattr(data_fit, "load_data", lambda config: read.append(config) or load_data(config))
    space = {"parameters": {"data.seed": {"grid": [1, 2, 3]}, "model.width": 8}}
    check_data(sweep_of(tiny, table("label"), space=space))
    assert len(read) == 1
