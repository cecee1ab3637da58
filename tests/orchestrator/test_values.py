"""Values of any kind come back as they were from everything that a sweep writes, and reach its loop so."""

from __future__ import annotations

import json
import math
import zlib
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis import best, configurations
from orchestrator.changes import changed
from orchestrator.columns import is_off, parquet_bytes, read_table
from orchestrator.errors import SweepError
from orchestrator.journal import Journal, decode, encode
from orchestrator.lock import RunLock
from orchestrator.ray_trial import TorchTrial
from orchestrator.record import Record
from orchestrator.search import Session, _job
from orchestrator.searchers import Observation, make_searcher
from orchestrator.signals import StopRequest
from orchestrator.simulation.curve_files import load_curves
from orchestrator.sweep import Sweep, dump_sweep, load_sweep, make_sweep
from orchestrator.tables import epochs_table, trials_table, write_tables
from orchestrator.user_code import UserCode
from orchestrator.warm_start import earlier_observations
from search_spaces import Choice, Grid, Int, Space, When, as_python
from tests.any_value import VALUES, WITH_NAN, identical
from tests.orchestrator import own_loops
from trainables import CheckpointError
from trainables.loop import LoopWorker

NAMES = st.text("abcdef", min_size=1, max_size=3)
ARGUMENTS = st.dictionaries(NAMES, WITH_NAN, max_size=4)
LOOP = "tests.orchestrator.own_loops"


def own(arguments: dict[str, Any], loop: str = "keeps", **changes: Any) -> Sweep:
    values = {
        "name": "own",
        "space": Space({"x": Choice([1, 2])}),
        "search": {"name": "grid"},
        "asha": None,
        "metric": "loss",
        "mode": "min",
        "train": {"loop": f"{LOOP}:{loop}", "arguments": arguments, "epochs": 2},
    }
    return make_sweep({**values, **changes})


def reloaded(sweep: Sweep, folder: Any) -> Sweep:
    path = folder / "sweep.yaml"
    path.write_text(dump_sweep(sweep), encoding="utf-8")
    return load_sweep(path)


@given(ARGUMENTS)
@settings(max_examples=60)
def test_arguments_come_back_from_the_file_and_reach_the_loop(tmp_path_factory, arguments):
    folder = tmp_path_factory.mktemp("sweep")
    sweep = reloaded(own(arguments), folder)
    assert identical(sweep.train["arguments"], arguments)
    assert identical(changed(sweep, {"keep_checkpoints": 7}).train, sweep.train)
    trial = Record("loss", 1.0).propose({"x": 2})
    with RunLock(folder) as lock:
        session = Session(StopRequest(), lock, lambda: 0.0, quiet=True, code=UserCode.here(folder))
        job = _job(sweep, trial, folder, [2], session)
    assert json.loads(json.dumps(job["start"]["config"], allow_nan=True)) is not None
    process = TorchTrial(job)
    try:
        process.step()
        assert identical(own_loops.KEPT.pop(), {**arguments, "x": 2})
    finally:
        process.cleanup()


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
@settings(max_examples=60)
def test_configurations_come_back_from_the_journal(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    record = Record("loss", 1.0, journal)
    record.begin_session(1)
    record.learn("there", [Observation(config=config, loss=math.inf, curve=(1.0, 2.0), prior=True)])
    assert identical(record.propose(config).config, config)
    journal.close()
    again = Record("loss", 1.0)
    events = list(Journal(folder).read())
    again.replay(events)
    assert identical(again.trials["0001"].config, config)
    (shown,) = again.prior["there"]
    assert identical(shown.config, config)
    assert shown.curve == (1.0, 2.0)
    assert identical(events[2]["config"], config)
    assert again.observations()[0].key == record.observations()[0].key


def test_journals_of_earlier_versions_stay_readable():
    event = {"event": "epoch", "metrics": {"$tuple": 1.0}, "config": {"a": [1, {"b": None}], "c": math.inf}}
    text = b"1 " + json.dumps(event, separators=(",", ":")).encode()
    assert decode(b"%08x %s" % (zlib.crc32(text), text)) == (1, event)
    assert decode(encode(1, event).rstrip(b"\n")) == (1, event)


ARGUMENT = {
    "optimizer": {"name": "sgd"},
    "day": date(2020, 1, 31),
    "at": datetime(2020, 1, 31, 10, tzinfo=UTC),
    "nan": math.nan,
    "weights": {0: (1, 2.5), "0": None},
    "clip": -math.inf,
    "flag": True,
}


def loop_config(**changes: Any) -> dict[str, Any]:
    return {"loop": f"{LOOP}:pops_and_breaks", "epochs": 3, "arguments": {**ARGUMENT, **changes}}


def test_each_attempt_has_arguments_of_its_own_and_goes_on_from_the_checkpoint(tmp_path):
    config = loop_config()
    worker = LoopWorker()
    worker.begin(config, str(tmp_path))
    assert worker.epoch()["metrics"] == {"loss": 1.0}
    with pytest.raises(RuntimeError, match="the first attempt breaks"):
        worker.epoch()
    worker.begin(config, str(tmp_path), known_epochs=1)
    assert worker.epoch()["metrics"] == {"loss": 2.0}
    worker.close()
    assert identical(config, loop_config())


@pytest.mark.parametrize("change", [{"flag": 1}, {"weights": {0: [1, 2.5], "0": None}}, {"clip": None}, {"nan": 0.0}])
def test_a_checkpoint_of_arguments_of_another_type_is_refused(tmp_path, change):
    worker = LoopWorker()
    worker.begin(loop_config(), str(tmp_path))
    worker.epoch()
    worker.close()
    with pytest.raises(CheckpointError, match="was made with another arguments"):
        worker.begin(loop_config(**change), str(tmp_path))


def test_what_is_no_value_is_refused_before_anything_is_written_or_deleted(tmp_path):
    for value in ({1, 2}, b"x", object(), np.array([1]), 2**63, {"a": {1.5: 0}}):
        with pytest.raises(SweepError, match=r"^sweep: train\.arguments\.k\.0"):
            own({"k": [value]}, storage=str(tmp_path))
        with pytest.raises(SweepError, match=r"^sweep: search\.start\.0\.x\.0"):
            own({}, storage=str(tmp_path), search={"name": "grid", "start": [{"x": [value]}]})
        with pytest.raises(SweepError, match=r"^sweep: train\.model\.k"):
            own({}, storage=str(tmp_path), train={"model": {"name": "own:Net", "k": value}})
        student = {"architecture": {"name": "own:Net", "k": value}}
        with pytest.raises(SweepError, match=r"^sweep: compress\.student\.architecture\.k"):
            own({}, storage=str(tmp_path), train={}, metric="val_loss", compress={"student": student})
    assert list(tmp_path.iterdir()) == []


def test_a_setting_of_another_type_is_no_setting_to_resume_with():
    sweep = own({"flag": True, "nan": math.nan})
    with pytest.raises(SweepError, match=r"^train\.arguments\.flag: must stay True .*, but got 1$"):
        changed(sweep, {"train": {"arguments": {"flag": 1, "nan": math.nan}}})
    assert changed(sweep, {"train": {"arguments": {"nan": math.nan, "flag": True}}, "keep_checkpoints": 2})


@st.composite
def distinct(draw: st.DrawFn, least: int = 1) -> list[Any]:
    """Values that Python does not take for equal, as options are."""
    values = draw(st.lists(VALUES, min_size=least, max_size=5))
    return [value for i, value in enumerate(values) if not any(value == before for before in values[:i])]


def ended(configs: list[dict[str, Any]]) -> Record:
    """A record with a completed trial of each configuration; its loss is its number, from 1."""
    record = Record("loss", 1.0)
    record.begin_session(1)
    for loss, config in enumerate(configs, 1):
        trial = record.propose(config).id
        record.start(trial)
        report = {
            "epoch": 1,
            "metrics": {"loss": float(loss)},
            "seconds": 1.0,
            "timing": {},
            "node": "",
            "finished": True,
        }
        record.report(trial, report)
        record.end(trial, "completed")
    return record


def cells(table: pd.DataFrame, name: str) -> list[Any]:
    return [as_python(cell) for cell in table[f"config.{name}"]]


@given(distinct(), st.booleans())
@settings(max_examples=60)
def test_values_come_back_from_tables_and_parquet(tmp_path_factory, values, has_switch):
    folder = tmp_path_factory.mktemp("tables")
    off = [{"x": "off"}] if has_switch else []
    record = ended([*({"x": "on", "v": value} for value in values), *off])
    table = trials_table(record)
    for told in (cells(table, "v"), cells(best(table, "loss", "min", 9), "v")):
        assert all(map(identical, told, values))
        assert [is_off(cell) for cell in told] == [False] * len(values) + [True] * len(off)
    write_tables(record, folder)
    read = read_table(folder / "trials.parquet")
    pd.testing.assert_frame_equal(read, table)
    assert all(map(identical, cells(read, "v"), values))
    rows = configurations(table, "loss", "min")
    assert list(rows["mean"]) == [float(n) for n in range(1, len(values) + len(off) + 1)]
    assert all(map(identical, cells(rows, "v"), values))


@given(distinct(least=2))
@settings(max_examples=40)
def test_an_earlier_run_of_any_values_is_learned_from(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("earlier")
    write_tables(ended([{"v": value} for value in values]), folder)
    sweep = own({}, space=Space({"v": Choice(values)}), search={"name": "bayes", "trials": 3})
    shown = earlier_observations([str(folder / "trials.parquet")], sweep)
    assert all(map(identical, [one.config["v"] for one in shown], values))
    table = epochs_table(ended([{"v": value} for value in values]))
    named = table.assign(**{"config.v": pd.Series(values, dtype="object")}).drop(columns="trial")
    (folder / "curves.parquet").write_bytes(parquet_bytes(named))
    curves = load_curves(folder / "curves.parquet", space=sweep.space, metric="loss", mode="min")
    assert all(map(identical, [curve.config["v"] for curve in curves.curves], values))
    assert [curves.nearest({"v": value}).losses for value in values] == [(n,) for n in range(1, len(values) + 1)]


def test_other_readers_see_text_where_values_are_mixed_and_types_where_they_are_not(tmp_path):
    mixed = [True, None, 2, "a", 0.5, [16, 32], {"k": (1,)}]
    configs = [{"mixed": value, "whole": n, "text": "t", "day": date(2020, 1, 1 + n)} for n, value in enumerate(mixed)]
    write_tables(ended([*configs, {"text": "off"}]), tmp_path)
    seen = pd.read_parquet(tmp_path / "trials.parquet")
    texts = ["true", "null", "2", '"a"', "0.5", "[16, 32]", '{"k": {"$tuple": [1]}}']
    assert [*seen["config.mixed"][:-1]] == texts
    assert list(seen[[f"config.{name}" for name in configs[0]]].isna().iloc[-1]) == [True, True, False, True]
    assert seen["config.whole"].dtype == "Int64"
    assert list(seen["config.day"][:2]) == [date(2020, 1, 1), date(2020, 1, 2)]


def test_tables_of_earlier_versions_and_of_others_are_read_by_what_the_space_has(tmp_path):
    told = {
        "a": ["True", "None", "2"],
        "b": [1.0, 2.0, None],
        "c": [[16, 32], [32, 64], [16, 32]],
        "d": [True, False, True],
        "e": [1.0, 2.5, 1.0],
    }
    frame = pd.DataFrame({f"config.{name}": cells for name, cells in told.items()}).assign(loss=[1.0, 2.0, 3.0])
    frame.to_parquet(tmp_path / "old.parquet")
    domains = {
        "a": Choice([True, "None", 2]),
        "b": When(Int(1, 2), {"d": [True, False]}),
        "c": Choice([[16, 32], [32, 64]]),
        "e": Choice([1, 2.5]),
    }
    space = Space({"d": Choice([True, False]), **domains})
    sweep = own({}, space=space, search={"name": "bayes", "trials": 3})
    shown = earlier_observations([str(tmp_path / "old.parquet")], sweep)
    expected = [
        {"d": True, "a": True, "b": 1, "c": [16, 32], "e": 1},
        {"d": False, "a": "None", "b": 2, "c": [32, 64], "e": 2.5},
    ]
    assert identical([one.config for one in shown], expected)


ALIKE = [1, True, "1", "True", None, "None", "nan", "[1]", [1], (1,), "(1,)", {"a": 1}, {"a": True}, 0.5, "0.5"]


def test_configurations_that_only_look_alike_are_counted_apart():
    configs = [{"x": "on", "v": value} for value in ALIKE]
    rows = configurations(trials_table(ended([*configs, {"x": "on"}, *configs])), "loss", "min")
    rows = rows.sort_values("trial")
    assert list(rows["repeats"]) == [2] * len(ALIKE) + [1]
    assert identical(cells(rows, "v")[:-1], ALIKE)
    assert is_off(cells(rows, "v")[-1])


@pytest.mark.parametrize("name", ["grid", "random", "bayes"])
def test_searchers_propose_each_configuration_of_any_values_once(name):
    options = [True, None, 2, "2", [16, 32], (16, 32), {"k": [1]}, date(2020, 1, 31)]
    sizes = When(Choice([[1], (1,)]), {"v": [[16, 32], None]})
    space = Space({"v": Choice(options), "w": sizes, "n": Grid([[1, 2], [3, 4]])}, ["v != w and n in [[1, 2], [3, 4]]"])
    searcher, record = make_searcher(name, space, 0, start=[{"v": (16, 32), "n": [3, 4]}]), Record("loss", 1.0)
    record.begin_session(1)
    while (config := searcher.suggest(record.observations(), record.pending())) is not None:
        trial = record.propose(config).id
        figures = {"epoch": 1, "metrics": {"loss": float(len(repr(config)))}, "seconds": 1.0}
        record.report(trial, {**figures, "timing": {}, "node": "", "finished": True})
        record.end(trial, "completed")
    proposed = [trial.config for trial in record.trials.values()]
    assert identical(proposed[0], {"v": (16, 32), "n": [3, 4]})
    assert sorted(map(repr, proposed)) == sorted(map(repr, space.grid()))
    assert len(proposed) == space.size == 2 * (len(options) + 2)
