"""What the columns of a run's tables hold."""

import pandas as pd
import pytest

from orchestrator.journal import Journal
from orchestrator.record import Record
from orchestrator.run_folder import open_run
from orchestrator.tables import trials_table, write_tables
from tests.orchestrator.folders import make_folder
from trainables.storage import delete_tree

SECONDS = 1790000020.478


@pytest.fixture
def finished(tiny):
    """A run of three trials at 478 ms past a second; of the first and the last one there are checkpoints."""
    sweep = tiny()
    make_folder(sweep)
    record = Record(sweep.metric, sweep.sign, Journal(sweep.folder / "journal"), clock=lambda: SECONDS)
    record.begin_session(1)
    for number in range(1, 4):
        trial = record.propose({"optimizer.lr": 0.01 * number, "model.width": 8}).id
        record.start(trial)
        figures = {"epoch": 1, "metrics": {"val_accuracy": 0.5, "val_loss": 1.0}, "seconds": 1.0}
        record.report(trial, {**figures, "timing": {}, "node": "", "finished": True})
        record.end(trial, "completed")
        if number != 2:
            folder = sweep.folder / "checkpoints" / trial
            folder.mkdir(parents=True)
            (folder / "last.pt").write_bytes(b"weights")
    (sweep.folder / "checkpoints" / "0002").mkdir()
    (sweep.folder / "checkpoints" / "0002" / "notes.txt").write_text("no checkpoint")
    return sweep, record


def test_a_checkpoint_is_named_where_there_is_one(finished):
    sweep, record = finished
    paths = ["checkpoints/0001/last.pt", None, "checkpoints/0003/last.pt"]
    table = open_run(sweep.folder).trials()
    assert table["checkpoint"].isna().tolist() == [False, True, False]
    assert all((sweep.folder / path).is_file() for path in table["checkpoint"].dropna())
    assert table["checkpoint"].dropna().tolist() == [path for path in paths if path]
    write_tables(record, sweep.folder)
    assert pd.read_parquet(sweep.folder / "trials.parquet")["checkpoint"].isna().tolist() == [False, True, False]
    delete_tree(sweep.folder / "checkpoints")
    assert open_run(sweep.folder).trials()["checkpoint"].isna().all()
    assert trials_table(record)["checkpoint"].isna().all()


@pytest.mark.parametrize("column", ["proposed", "started", "ended"])
def test_moments_are_whole_milliseconds(finished, column):
    sweep, record = finished
    write_tables(record, sweep.folder)
    for table in (open_run(sweep.folder).trials(), pd.read_parquet(sweep.folder / "trials.parquet")):
        assert {moment.isoformat() for moment in table[column]} == {"2026-09-21T14:13:40.478000+00:00"}
