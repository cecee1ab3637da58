"""Metrics of any name and number, from a report to the tables."""

import math
from io import BytesIO

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.journal import Journal
from orchestrator.new_run import write_sweep
from orchestrator.record import Record
from orchestrator.run_folder import Run
from orchestrator.show import show
from orchestrator.simulation.curve_files import load_curves
from orchestrator.tables import AFTER, BEFORE, epochs_table, trials_table, write_tables
from trainables.loop import column
from trainables.loop.trial import LoopTrial

OURS = [
    "share",
    "timing",
    "finished",
    "epoch",
    "seconds",
    "trial",
    "status",
    "node",
    "metrics",
    "event",
    "cost",
    "self",
]
PREFIXED = ["time.train", "config.lr", "metric.epoch", "metric.metric.epoch"]
NAMES = st.sampled_from([*OURS, *PREFIXED, *BEFORE, *AFTER]) | st.text(max_size=5)
NUMBERS = st.integers(-(2**80), 2**80) | st.floats() | st.booleans()


class Reports(LoopTrial):
    """A trial of a loop whose reports go to a record, as those of its process do."""

    def __init__(self, record, trial, metric="loss"):
        super().__init__({"seed": 0, "epochs": 9}, id=trial, folder=None, metric=metric)
        self._record = record

    def _tell(self, epoch):
        self._record.report(self.id, {**epoch, "timing": {"train": 1.0}, "node": "n", "finished": False})


@pytest.mark.filterwarnings("ignore:.* more than 63 bits")
@given(st.lists(st.dictionaries(NAMES, NUMBERS, max_size=6), min_size=1, max_size=3))
def test_every_metric_arrives_in_the_tables_under_one_name(tmp_path_factory, reports):
    folder = tmp_path_factory.mktemp("run")
    record = Record("loss", 1.0, Journal(folder / "journal"))
    trial = Reports(record, record.propose({"lr": 0.1}).id)
    for number, metrics in enumerate(reports):
        trial.report(**{**metrics, "loss": 9 - number})
    again = Record("loss", 1.0)
    again.replay(Journal(folder / "journal").read())
    write_tables(again, folder)
    epochs, trials = (pd.read_parquet(folder / f"{name}.parquet") for name in ("epochs", "trials"))
    for index, metrics in enumerate(reports):
        for name, value in metrics.items():
            if name != "loss":
                assert_same(epochs[column(name)][index], value)
    for name, value in reports[-1].items():
        if name != "loss":
            assert_same(trials[column(name)][0], value)
    assert list(epochs["epoch"]) == [1 + index for index in range(len(reports))]
    assert (list(trials["trial"]), list(trials["epochs"])) == (["0001"], [len(reports)])


def assert_same(kept, value):
    assert (pd.isna(kept) and math.isnan(value)) or float(kept) == float(value)


def reported(*epochs):
    """A record of one trial with these metrics, epoch by epoch."""
    record = Record("loss", 1.0)
    trial = Reports(record, record.propose({}).id)
    for metrics in epochs:
        trial.report(**metrics)
    return record


def test_a_metric_of_a_later_epoch_is_in_both_tables():
    record = reported({"loss": 2.0}, {"loss": 1.0, "extra": 5})
    assert list(trials_table(record)["extra"]) == [5]
    assert list(epochs_table(record)["extra"].isna()) == [True, False]


def test_a_name_that_is_no_text_is_escaped():
    record = reported({"loss": 1.0, "caf\udce9": 3})
    assert "caf\\udce9" in trials_table(record)
    epochs_table(record).to_parquet(BytesIO())


@pytest.mark.parametrize("metric", ["seconds", "status", "share", "time.train", "epoch"])
def test_the_metric_of_a_sweep_may_have_any_name(tiny, tmp_path, capsys, metric):
    train = {"loop": "tests.orchestrator.own_loops:climb"}
    sweep = tiny(metric=metric, mode="max", train=train, space={"parameters": {"step": {"choice": [1, 2]}}}, asha=None)
    record = Record(metric, -1.0, Journal(tmp_path / "journal"))
    for value in (0.5, 0.75):
        trial = Reports(record, record.propose({"step": 4 * value - 1}).id, metric)
        trial.report(**{metric: value})
        record.end(trial.id, "completed")
    run = Run(tmp_path, sweep)
    assert list(run.best()["trial"]) == ["0002"]
    assert list(run.configs()["mean"]) == [0.75, 0.5]
    show(run)
    assert "0.75" in capsys.readouterr().out
    assert load_curves(write_run(run), mode="max").best == -0.75


def write_run(run):
    write_sweep(run.sweep, run.folder)
    return run.folder


def test_the_journal_of_an_earlier_version_is_read():
    """Their number and seconds, and what students cost, were among the metrics."""
    record = Record("val_loss", 1.0)
    trial = record.propose({}).id
    flat = {"epoch": 1, "val_loss": 0.5, "lr": 0.1, "seconds": 2.0, "macs": 9, "parameters": 4, "share": 0.5}
    event = {
        "event": "epoch",
        "trial": trial,
        "metrics": flat,
        "timing": {},
        "node": "n",
        "finished": True,
        "time": 9.0,
    }
    record.replay([event])
    (row,) = epochs_table(record).to_dict("records")
    assert {name: row[name] for name in flat} == flat
    assert record.trials[trial].seconds == 2.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": {"loss": "low"}},
        {"metrics": {"los": 1.0}},
        {"metrics": None},
        {"timing": None},
        {"node": 3},
        {"finished": None},
        {"seconds": None},
        {"epoch": "first"},
    ],
)
def test_an_event_that_cannot_be_applied_is_not_written(tmp_path, wrong):
    record = Record("loss", 1.0, Journal(tmp_path))
    trial = record.propose({}).id
    whole = {"epoch": 1, "metrics": {"loss": 1.0}, "seconds": 1.0, "timing": {}, "node": "", "finished": False}
    with pytest.raises((ValueError, TypeError, KeyError)):
        record.report(trial, {**whole, **wrong})
    record.report(trial, whole)
    assert [event["event"] for event in Journal(tmp_path).read()] == ["propose", "epoch"]
    assert [epoch.number for epoch in record.trials[trial].epochs] == [1]
