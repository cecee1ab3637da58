"""Values of any kind come back as they were from everything that a sweep writes, and reach its loop so."""

from __future__ import annotations

import json
import math
import zlib
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.changes import changed
from orchestrator.errors import SweepError
from orchestrator.journal import Journal, decode, encode
from orchestrator.lock import RunLock
from orchestrator.ray_trial import TorchTrial
from orchestrator.record import Record
from orchestrator.search import Session, _job
from orchestrator.searchers import Observation
from orchestrator.signals import StopRequest
from orchestrator.sweep import Sweep, dump_sweep, load_sweep, make_sweep
from orchestrator.user_code import UserCode
from search_spaces import Choice, Space
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
        job = _job(sweep, trial, folder, [2], Session(StopRequest(), lock, True, UserCode.here(folder)))
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
