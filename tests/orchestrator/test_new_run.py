"""A run that begins, in place of an earlier one or not, and one of which a part is missing."""

import shutil

import numpy as np
import pandas as pd
import pytest

from orchestrator.errors import SweepError
from orchestrator.journal import Journal
from orchestrator.lock import LOCK, RunLock
from orchestrator.new_run import REPLACING, NewRun, sweep_text, write_sweep
from orchestrator.record import Record
from orchestrator.run_folder import open_run
from orchestrator.runner import resume
from orchestrator.runner import run as run_sweep
from orchestrator.show import show
from orchestrator.tables import write_tables
from tests.orchestrator.folders import make_folder
from trainables.storage import children, delete_file, delete_tree, join, list_files, read_bytes, write_bytes


@pytest.fixture(params=["local", "s3"])
def sweep(request, tiny):
    return tiny() if request.param == "local" else tiny(storage=request.getfixturevalue("s3_folder"))


def made(sweep, trials=2):
    """The folder of a finished run."""
    make_folder(sweep)
    record = Record(sweep.metric, sweep.sign, Journal(join(sweep.folder, "journal")))
    record.begin_session(1, sweep=sweep_text(sweep).decode())
    for number in range(trials):
        trial = record.propose({"optimizer.lr": 0.01, "model.width": 8 + 8 * number}).id
        record.start(trial)
        figures = {"metrics": {"val_accuracy": 0.5}, "seconds": 1.0, "timing": {}}
        record.report(trial, {"epoch": 1, **figures, "node": "", "finished": True})
        write_bytes(join(sweep.folder, "checkpoints", trial, "last.pt"), b"")
        record.end(trial, "completed")
    write_tables(record, sweep.folder)
    return sweep.folder


def contents(folder):
    return {name: read_bytes(join(folder, name)) for name in list_files(folder) if not name.startswith(LOCK)}


def test_a_run_is_replaced_by_a_new_one(sweep):
    made(sweep)
    with NewRun(sweep, replace=True) as new, RunLock(sweep.folder):
        new.begin()
    assert list(contents(sweep.folder)) == ["sweep.yaml"]


def test_the_earlier_run_is_whole_if_the_new_sweep_cannot_be_written(sweep):
    before = contents(made(sweep))
    train = {"loop": "a:b", "arguments": {"k": np.datetime64("2020-01-01")}}
    wrong = sweep.model_copy(update={"train": train, "metric": "loss"})
    with pytest.raises(
        SweepError, match=r"sweep: must hold values that YAML can, but: train\.arguments\.k: must be a number"
    ):
        NewRun(wrong, replace=True)
    assert contents(sweep.folder) == before


def test_the_earlier_run_is_whole_until_the_lock_is_held(sweep):
    before = contents(made(sweep))
    refused = pytest.raises(SweepError, match="is in use by process")
    with RunLock(sweep.folder), refused, NewRun(sweep, replace=True) as new, RunLock(sweep.folder):
        new.begin()
    assert contents(sweep.folder) == before


@pytest.mark.parametrize("replace", [False, True])
def test_a_run_that_another_process_has_made_meanwhile_is_left_alone(sweep, replace):
    """Two `run`s of one sweep, the second of which stands still early in its start."""
    with NewRun(sweep, replace) as late:
        before = contents(made(sweep))
        with RunLock(sweep.folder), pytest.raises(SweepError, match=r"another process|already exists"):
            late.begin()
    assert contents(sweep.folder) == before


def test_a_replacement_that_was_broken_off_is_known_as_such(sweep):
    folder = made(sweep)
    write_bytes(join(folder, REPLACING), sweep_text(sweep))
    delete_file(join(folder, "sweep.yaml"))
    with pytest.raises(SweepError, match="was being deleted when that was broken off; run the new sweep again"):
        open_run(folder)
    make_folder(sweep)
    assert list(contents(folder)) == ["sweep.yaml"]


def test_what_did_not_begin_leaves_nothing(tiny):
    with NewRun(tiny(), replace=False):
        pass
    assert not tiny().folder.exists()


# A part is missing


@pytest.mark.parametrize("kept", [["trials.parquet"], ["checkpoints"], ["trials.parquet", "checkpoints"]])
def test_a_run_without_its_journal_is_not_taken_for_an_empty_one(sweep, kept):
    folder = made(sweep)
    for name in children(folder):
        if name not in ("sweep.yaml", LOCK, *kept):
            delete_tree(join(folder, name)) if name in ("journal", "checkpoints") else delete_file(join(folder, name))
    before = contents(folder)
    for use in (lambda: show(open_run(folder)), lambda: open_run(folder).trials(), lambda: open_run(folder).best()):
        with pytest.raises(SweepError, match=f"its journal is missing or empty, but {kept[0]} has .* --replace"):
            use()
    assert contents(folder) == before


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_run_without_its_journal_is_not_trained_anew(tiny):
    folder = made(tiny())
    shutil.rmtree(folder / "journal")
    before = contents(folder)
    with pytest.raises(SweepError, match=r"its journal is missing or empty, but trials\.parquet has 2 trials"):
        resume(folder, quiet=True)
    with pytest.raises(SweepError, match="already exists"):
        run_sweep(tiny(), quiet=True)
    assert {name: data for name, data in contents(folder).items() if "journal" not in name} == before


def test_a_journal_that_lost_its_end_is_noticed(sweep):
    folder = made(sweep, trials=3)
    path = Journal(join(folder, "journal")).paths()
    if len(path) > 1:
        for place in path[9:]:
            delete_file(place)
    else:
        path[0].write_bytes(b"".join(path[0].read_bytes().splitlines(keepends=True)[:9]))
    rule = r"its journal holds 2 trials, but trials\.parquet has 3 trials and checkpoints has 0003"
    with pytest.raises(SweepError, match=rule):
        open_run(folder).record()


def test_a_run_without_its_sweep_has_that_of_its_journal(sweep, capsys):
    folder = made(sweep)
    delete_file(join(folder, "sweep.yaml"))
    run = open_run(folder)
    assert run.sweep == sweep
    show(run)
    assert "sweep.yaml is missing; its journal has the sweep" in capsys.readouterr().out


def test_tables_that_are_missing_are_made_again_from_the_journal(sweep):
    folder = made(sweep)
    before = pd.read_parquet(join(folder, "trials.parquet")) if "://" not in str(folder) else None
    for name in ("trials", "epochs", "models"):
        delete_file(join(folder, f"{name}.parquet"))
    trials = open_run(folder).trials()
    assert list(trials["trial"]) == ["0001", "0002"]
    if before is not None:
        pd.testing.assert_frame_equal(trials, before)


def test_an_event_of_a_newer_version_is_named_as_such(sweep):
    folder = made(sweep)
    Journal(join(folder, "journal")).append({"event": "teleport", "time": 1.0})
    with pytest.raises(SweepError, match=r"of the kind 'teleport'.*the run was made by a newer version of halving"):
        open_run(folder).trials()


def test_the_sweep_is_replaced_whole(tiny):
    sweep = tiny()
    folder = made(sweep)
    write_sweep(sweep.model_copy(update={"concurrent": 2}), folder)
    assert open_run(folder).sweep.concurrent == 2
