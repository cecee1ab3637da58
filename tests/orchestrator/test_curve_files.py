"""Curves from runs and tables, and what is wrong with a table."""

import math

import pandas as pd
import pytest

from orchestrator.errors import SweepError
from orchestrator.journal import Journal
from orchestrator.record import Record
from orchestrator.simulation.curve_files import load_curves
from search_spaces import Choice, Grid, LogUniform, Space, Uniform
from tests.orchestrator.folders import make_folder

GOOD = pd.DataFrame(
    {
        "config.lr": [0.001, 0.001, 0.1, 0.1],
        "config.kind": ["a", "a", "b", "b"],
        "epoch": [1, 2, 1, 2],
        "val_loss": [2.0, 1.0, 3.0, 2.5],
        "seconds": [1.0, 1.5, 2.0, 2.5],
    }
)


def load(tmp_path, table, **options):
    table.to_csv(tmp_path / "curves.csv", index=False)
    return load_curves(tmp_path / "curves.csv", **options)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_is_read_by_its_columns(tmp_path, form):
    path = tmp_path / f"curves.{form}"
    GOOD.to_csv(path, index=False) if form == "csv" else GOOD.to_parquet(path)
    curves = load_curves(path)
    assert (curves.metric, curves.sign, curves.epochs, len(curves), curves.best) == ("val_loss", 1.0, 2, 2, 1.0)
    assert curves.scale == pytest.approx(0.75 * 1.5)
    assert curves.space == Space({"lr": Grid((0.001, 0.1)), "kind": Choice(("a", "b"))})
    first = curves.nearest({"lr": 0.001, "kind": "a"})
    assert (first.losses, first.seconds, first.status) == ((2.0, 1.0), (1.0, 1.5), "completed")


def test_many_numbers_span_a_range(tmp_path):
    rows = [
        {"config.lr": 10 ** -(number / 5), "config.drop": number / 20, "config.width": 8 + number, "epoch": 1,
         "val_accuracy": 0.5, "seconds": 1.0}
        for number in range(20)
    ]  # fmt: skip
    curves = load(tmp_path, pd.DataFrame(rows))
    assert isinstance(curves.space.domains["lr"], LogUniform)
    assert curves.space.domains["drop"] == Uniform(0.0, 0.95)
    assert curves.space.domains["width"].spec() == [8, 27]
    assert (curves.sign, curves.best) == (-1.0, -0.5)


def test_repeats_of_a_configuration_are_told_apart_by_the_trial_and_averaged(tmp_path):
    table = GOOD.assign(trial=[1, 1, 2, 2], **{"config.lr": 0.1, "config.kind": "a"})
    (curve,) = load(tmp_path, table).curves
    assert (curve.losses, curve.seconds) == ((2.5, 1.75), (1.5, 2.0))


def test_an_empty_metric_at_the_end_is_a_failure(tmp_path):
    table = GOOD.assign(val_loss=[2.0, 1.0, 3.0, None])
    failed = load(tmp_path, table).nearest({"lr": 0.1, "kind": "b"})
    assert (failed.status, failed.losses, failed.duration(2)) == ("failed", (3.0,), 2.5)
    assert math.isnan(failed.loss(2))


def test_a_space_of_ones_own_leaves_out_what_is_outside(tmp_path):
    space = Space({"lr": LogUniform(1e-4, 0.01), "kind": Choice(("a", "b"))})
    assert len(load(tmp_path, GOOD, space=space)) == 1


def test_values_are_those_of_the_space(tmp_path):
    """Whole numbers are floats beside an empty cell, and mixed kinds text."""
    space = Space({"size": Grid((8, 16)), "kind": Choice((None, 3, "b"))})
    table = GOOD.drop(columns="config.lr").assign(
        **{"config.size": [8.0, 8.0, 16.0, 16.0], "config.kind": list("33bb")}
    )
    configs = [curve.config for curve in load(tmp_path, table, space=space).curves]
    assert configs == [{"size": 8, "kind": 3}, {"size": 16, "kind": "b"}]
    assert type(configs[0]["size"]) is int


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (GOOD.drop(columns="epoch"), {}, "must have a column 'epoch'"),
        (GOOD[["epoch", "seconds", "val_loss"]], {}, r"must have columns config.*, one a parameter"),
        (GOOD.drop(columns="val_loss"), {}, "--metric must name one of its columns (none is a metric)"),
        (GOOD.assign(val_accuracy=1.0), {}, "--metric must name one of its columns val_loss, val_accuracy"),
        (GOOD, {"metric": "loss"}, "metric: must be one of val_loss, but got 'loss'; did you mean 'val_loss'?"),
        (GOOD.rename(columns={"val_loss": "score"}), {}, "--mode: must say whether max or min is better for 'score'"),
        (GOOD.rename(columns={"val_loss": "my_loss"}), {}, "--mode: must say whether max or min is better for"),
        (GOOD, {"mode": "least"}, "--mode: must be min, which is better for 'val_loss', but got 'least'"),
        (GOOD.rename(columns={"val_loss": "score"}), {"mode": "least"}, "--mode: must be max or min, but got 'least'"),
        (GOOD.assign(epoch=[1, 1, 1, 2]), {}, "epochs must be 1, 2, 3 and so on, each once, but got [1, 1]"),
        (GOOD.assign(seconds=-1.0), {}, "seconds must be numbers from 0"),
        (GOOD.assign(val_loss=[None, 1.0, 1.0, 1.0]), {}, "val_loss may be empty in the last epoch only"),
        (GOOD.assign(val_loss=[2.0, None] * 2), {}, "must hold the curve of a trial that did not fail"),
        (GOOD.assign(seconds="long"), {}, "column 'seconds' must hold numbers, but got 'long'"),
        (GOOD.assign(status="ended"), {}, "status must be completed, stopped or failed, but got 'ended'"),
        (GOOD.assign(**{"config.lr": [0.1, 0.1, None, None]}), {}, "column 'config.lr' must have a value in every row"),
        (GOOD, {"space": Space({"momentum": Uniform(0, 1)})}, "none of 2 is; the first: {'lr': 0.001, 'kind': 'a'}"),
        (GOOD.iloc[:0], {"metric": "val_loss"}, "is empty"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_serve_is_said_to(tmp_path, table, options, message):
    if "trial" not in table:
        table = table.assign(trial=range(1, len(table) + 1)).assign(trial=lambda t: (t["trial"] + 1) // 2)
    with pytest.raises(SweepError) as error:
        load(tmp_path, table, **options)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["curves.txt", "none.csv", "none.parquet"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "curves.txt").write_text("no table")
    with pytest.raises(SweepError, match=name):
        load_curves(tmp_path / name)


def test_text_that_is_no_parquet_is_said_to_be_none(tmp_path):
    (tmp_path / "curves.parquet").write_text("no table")
    with pytest.raises(SweepError, match=r"curves.parquet: cannot be read"):
        load_curves(tmp_path / "curves.parquet")


def test_a_run_is_read_from_its_journal(tiny):
    sweep = tiny()
    make_folder(sweep)
    record = Record(sweep.metric, sweep.sign, Journal(sweep.folder / "journal"))
    for number, status in enumerate(("completed", "stopped", "failed", None), 1):
        trial = record.propose({"optimizer.lr": 0.01 * number, "model.width": 8}).id
        report = {"epoch": 1, "metrics": {"val_accuracy": number / 10, "val_loss": 1.0}, "seconds": 2.0}
        record.report(trial, {**report, "timing": {}, "node": "", "finished": False})
        if status:
            record.end(trial, status)
    curves = load_curves(sweep.folder)
    assert [(curve.status, curve.losses) for curve in curves.curves] == [
        ("completed", (-0.1,)), ("stopped", (-0.2,)), ("failed", (-0.3,)), ("stopped", (-0.4,)),
    ]  # fmt: skip
    assert (curves.space, curves.best) == (sweep.space, -0.4)
    assert load_curves(sweep.folder, metric="val_loss").best == 1.0
    with pytest.raises(SweepError, match="metric: must be one of val_accuracy, val_r2, val_loss, train_loss"):
        load_curves(sweep.folder, metric="loss")


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("metric", ["neg_loss", "score", "accuracy"])
def test_a_run_knows_which_values_of_its_metric_are_better(tiny, metric, mode):
    train = {"loop": "nowhere:train", "epochs": 1}
    sweep = tiny(metric=metric, mode=mode, train=train, space={"parameters": {"x": {"grid": [0, 1]}}}, asha=None)
    make_folder(sweep)
    record = Record(sweep.metric, sweep.sign, Journal(sweep.folder / "journal"))
    for number in (0, 1):
        trial = record.propose({"x": number}).id
        record.report(trial, reported(1, {metric: 0.3 - 5.2 * number}))
        record.end(trial, "completed")
    curves = load_curves(sweep.folder)
    assert curves.sign * curves.best == (0.3 if mode == "max" else -4.9)
    assert load_curves(sweep.folder, mode=mode).best == curves.best
    with pytest.raises(SweepError, match=f"--mode: must be {mode}, which is better for '{metric}', but got 'm"):
        load_curves(sweep.folder, mode="min" if mode == "max" else "max")


def reported(epoch, metrics):
    return {"metrics": {"epoch": epoch, "seconds": 1.0, **metrics}, "timing": {}, "node": "", "finished": False}
