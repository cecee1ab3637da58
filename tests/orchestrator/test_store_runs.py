"""Whole runs that live in the bucket of a real S3 server: nothing of them is on a disk, and nothing is otherwise."""

import threading
import time
from functools import partial

import pandas as pd
import pytest
from moto.s3.models import s3_backends
from pyarrow.fs import FileSystem

from orchestrator import SweepError, open_run, resume, run, runner
from orchestrator.errors import LockLost, StoreFailed
from orchestrator.journal import Journal
from orchestrator.lock import LOCK, RunLock
from tests.orchestrator.folders import make_folder
from trainables import load_checkpoint
from trainables.storage import children, delete_tree, exists, join, list_files, read_bytes

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

METRICS = ["trial", "epoch", "train_loss", "val_loss", "val_accuracy", "lr"]


@pytest.fixture
def stored(tiny, s3_folder):
    """Makes sweeps as `tiny` does whose runs are in the store."""
    return partial(tiny, storage=s3_folder)


def check_same(run, reference):
    configs = [name for name in reference.trials() if name.startswith("config.")]
    columns = ["trial", "status", "epochs", "best_epoch", "val_accuracy", "checkpoint", *configs]
    pd.testing.assert_frame_equal(run.trials()[columns], reference.trials()[columns])
    pd.testing.assert_frame_equal(run.epochs()[METRICS], reference.epochs()[METRICS])


def on_event(folder, number, act):
    """Starts to watch a run's journal; when it has so many events, `act` is called once."""

    def watch():
        while len(list(Journal(join(folder, "journal")).read())) < number:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_run_in_a_store_extended_is_the_longer_run_on_a_disk(tiny, stored, s3_folder):
    post = {"best": 1, "keep_macs": [], "epochs": 1}
    local = run(tiny(search={"name": "random", "trials": 5}, keep_checkpoints=2), quiet=True)
    first = run(stored(search={"name": "random", "trials": 3}, keep_checkpoints=2), quiet=True)
    assert first.folder == join(s3_folder, "tiny")
    assert len(first.trials()) == 3
    after = resume(first.folder, {"search": {"trials": 5}, "compress": post}, quiet=True)
    check_same(after, local)
    check_same(open_run(after.folder), local)
    pd.testing.assert_frame_equal(pd.read_parquet(join(after.folder, "trials.parquet")), after.trials())
    model = after.models().set_index("kind", drop=False).loc["dense"]
    assert model["status"] == "ok"
    assert model["latency_1_median_ms"] > 0
    assert len(read_bytes(join(after.folder, model["path"]))) == model["bytes"]
    names = ("card.json", "model.int8.onnx", "model.onnx", "model.pt2", "weights.safetensors")
    models = [f"models/{model['id']}/{name}" for name in names]
    models.append("front.png")
    ours = [name for name in list_files(after.folder) if not name.startswith("journal/")]
    theirs = [name for name in list_files(local.folder) if not name.startswith(("journal/", LOCK))]
    assert ours == sorted(theirs + models)
    best = after.best()["trial"].iloc[0]
    assert load_checkpoint(join(after.folder, "checkpoints", best, "last.pt"))["history"]

    with pytest.raises(SweepError, match=r"already exists in s3:.* halving resume 's3://"):
        run(after.sweep, quiet=True)
    make_folder(after.sweep)
    assert list_files(after.folder) == ["sweep.yaml"]


def test_a_bucket_that_is_not_there_is_told_before_anything_starts(stored, s3_server):
    with pytest.raises(SweepError, match=r"^storage: s3://none/tiny/sweep.yaml.*: .*NO_SUCH_BUCKET.* does not exist$"):
        run(stored(storage=f"s3://none?{s3_server}"), quiet=True)


def test_a_lost_lock_ends_the_run_which_then_touches_nothing(stored, monkeypatch):
    sweep = stored(search={"name": "random", "trials": 1000}, asha=None)
    monkeypatch.setattr(runner, "RunLock", partial(RunLock, lease_s=2))
    thread = on_event(sweep.folder, 8, lambda: delete_tree(join(sweep.folder, LOCK)))
    with pytest.raises(LockLost, match="is lost"):
        run(sweep, quiet=True)
    thread.join()
    assert not exists(join(sweep.folder, "trials.parquet"))
    assert not any(name.endswith(".jsonl") for name in children(join(sweep.folder, "journal")))
    assert len(open_run(sweep.folder).trials()) < 1000


@pytest.mark.slow
def test_a_store_that_fails_ends_the_run_which_goes_on_when_it_is_back(stored, s3_server):
    system, _ = FileSystem.from_uri(f"s3://away?{s3_server}&allow_bucket_creation=true")
    system.create_dir("away")
    sweep = stored(storage=f"s3://away?{s3_server}", search={"name": "random", "trials": 1000}, asha=None)
    backend = s3_backends["123456789012"]["aws"]
    kept, owner = backend.buckets["away"], s3_backends.bucket_accounts["away"]

    def take_away():
        del s3_backends.bucket_accounts["away"], backend.buckets["away"]

    thread = on_event(sweep.folder, 8, take_away)
    with pytest.raises(StoreFailed, match=r"s3://away/tiny.*NO_SUCH_BUCKET"):
        run(sweep, quiet=True)
    thread.join()
    backend.buckets["away"], s3_backends.bucket_accounts["away"] = kept, owner
    with RunLock(sweep.folder, lease_s=0):
        """The lease that could not be given back: done with at once."""
    before = open_run(sweep.folder)
    after = resume(before.folder, {"search": {"trials": len(before.trials())}}, quiet=True)
    assert set(after.trials()["status"]) == {"completed"}
    assert set(before.epochs()["trial"]) <= set(after.epochs()["trial"])
