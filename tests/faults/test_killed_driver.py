"""kill -9 of the driver at any moment, then resume: as if nothing had happened."""

import random
from collections import Counter

import pandas as pd
import pytest

from orchestrator import open_run
from orchestrator.journal import Journal
from orchestrator.scheduling import Asha
from trainables.storage import children, join

pytestmark = pytest.mark.ray

METRICS = ["trial", "epoch", "train_loss", "val_loss", "val_accuracy", "lr"]
PHASES = ["propose", "start", "epoch", "end", "model"]


def last_is(kind, after):
    """The journal's last event is of this kind, and it has more than `after` events."""
    return lambda events: len(events) > after and events[-1]["event"] == kind


def killed_and_resumed(drive, first, moments):
    """Kills a driver at each moment, a function of the journal, and resumes; then lets the last one end."""
    driver = drive(first)
    for moment in moments:
        if driver.wait_until(moment) and driver.process.poll() is None:
            driver.kill()
            driver = drive(driver.folder)
    assert driver.finish() == 0, driver.output
    return open_run(driver.folder)


def check_whole(run):
    """Every trial once, no id missing, no orphan folder, nothing reported twice, ASHA's decisions those of a replay."""
    trials, epochs, events = run.trials(), run.epochs(), list(run.events())
    assert list(trials["trial"]) == [f"{number:04d}" for number in range(1, len(trials) + 1)]
    assert set(trials["status"]) <= {"completed", "stopped"}
    assert not epochs.duplicated(["trial", "epoch"]).any()
    assert (epochs.groupby("trial")["epoch"].max() == epochs.groupby("trial").size()).all()
    ends = Counter(event["trial"] for event in events if event["event"] == "end")
    assert set(ends.values()) == {1}
    folders = set(children(join(run.folder, "checkpoints")))
    assert folders <= set(trials["trial"])
    assert len(folders) <= run.sweep.keep_checkpoints
    assert not any(name.startswith(".") for name in children(run.folder))
    replayed = run.record()
    asha = Asha(run.sweep, replayed)
    asha.replay(events)
    by_status = trials.groupby("status")["trial"].agg(set)
    assert by_status.get("stopped", set()) == asha.below - by_status.get("completed", set())
    pd.testing.assert_frame_equal(pd.read_parquet(join(run.folder, "trials.parquet")), trials)


def check_same(run, reference):
    """All that was proposed, trained and decided is what an uninterrupted run gives."""
    configs = [name for name in reference.trials() if name.startswith("config.")]
    columns = ["trial", "status", "epochs", "val_loss", "val_accuracy", *configs]
    pd.testing.assert_frame_equal(run.trials()[columns], reference.trials()[columns])
    pd.testing.assert_frame_equal(run.epochs()[METRICS], reference.epochs()[METRICS])
    measured = ["id", "status", "macs", "bytes", "val_accuracy", "test_accuracy"]
    pd.testing.assert_frame_equal(
        run.models()[measured].sort_values("id", ignore_index=True),
        reference.models()[measured].sort_values("id", ignore_index=True),
    )


def test_one_trial_at_a_time_ends_as_if_uninterrupted(drive, sweep, kills):
    reference = drive(sweep("reference"))
    assert reference.finish() == 0, reference.output
    whole = open_run(reference.folder)
    length = len(list(whole.events()))
    choice = random.Random(kills)
    phases = [last_is(kind, after) for kind, after in zip(PHASES, (2, 5, 9, 14, 18), strict=True)]
    anywhere = sorted(choice.randrange(1, length) for _ in range(kills - len(phases)))
    moments = phases[:kills] + [lambda events, least=least: len(events) > least for least in anywhere]
    run = killed_and_resumed(drive, sweep("killed"), moments)
    check_whole(run)
    check_same(run, whole)


@pytest.mark.slow
def test_trials_side_by_side_are_each_there_once(drive, sweep, kills):
    moments = [lambda events, least=5 * number: len(events) > least for number in range(1, 1 + kills // 2)]
    run = killed_and_resumed(drive, sweep("side", concurrent=2, compress=None), moments)
    check_whole(run)


@pytest.mark.slow
def test_a_second_process_on_the_same_run_is_refused(drive, sweep):
    first = drive(sweep("one"))
    assert first.wait_until(lambda events: len(events) > 3)
    second = drive(first.folder)
    assert second.finish() == 2
    assert "is in use by process" in second.output


@pytest.mark.slow
def test_in_a_store_a_killed_driver_keeps_the_run_for_a_minute_at_most(drive, sweep, s3_folder):
    reference = drive(sweep("reference"))
    assert reference.finish() == 0, reference.output
    driver = drive(sweep("killed", storage=s3_folder))
    assert driver.wait_until(last_is("epoch", 8))
    driver.kill()
    refused = drive(driver.folder)
    assert refused.finish() == 2
    assert "its lock ends in 60 s" in refused.output
    while refused.process.returncode == 2:
        refused = drive(driver.folder)
        refused.finish()
    assert refused.process.returncode == 0, refused.output
    check_whole(open_run(driver.folder))
    check_same(open_run(driver.folder), open_run(reference.folder))


def test_students_go_on_where_they_were(drive, sweep):
    post = {"best": 1, "keep_macs": [0.5, 0.4], "epochs": 3, "int8": False}
    driver = drive(sweep("students", search={"name": "random", "trials": 1}, compress=post))
    folder = join(driver.folder, "students", "student")

    def under_way(events):
        return sum(event["event"] == "epoch" for event in Journal(join(folder, "journal")).read()) >= 2

    assert driver.wait_until(under_way)
    driver.kill()
    before = open_run(folder).epochs()[METRICS]
    driver = drive(driver.folder)
    assert driver.finish() == 0, driver.output
    run = open_run(driver.folder)
    students, epochs = run.students(), open_run(folder).epochs()
    assert list(students["status"]) == ["completed"] * 4  # two and their controls
    assert not epochs.duplicated(["trial", "epoch"]).any()
    assert len(epochs) == 4 * 3
    pd.testing.assert_frame_equal(epochs[METRICS].head(len(before)), before)
    assert list(run.models()["status"]) == ["ok"] * 3
    assert run.models()["control_test"].notna().sum() == 2
