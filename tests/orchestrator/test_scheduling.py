"""What is recorded of an attempt that failed, from what Ray writes of it. Without a cluster."""

import traceback
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from orchestrator.record import Record
from orchestrator.scheduling import Asha


def failed_with(tiny, folder, text):
    """The error of a trial of which Ray has written that text."""
    sweep, record = tiny(faults={"retries": 0}), Record("val_accuracy", -1.0)
    trial = record.propose({"lr": 0.1}).id
    record.start(trial)
    (folder / "error.txt").write_text(f"Failure # 1 (occurred at 2026-11-25)\n{text}\n")
    rays = SimpleNamespace(config={"trial": trial}, error_file=str(folder / "error.txt"))
    Asha(sweep, record).on_trial_error(None, rays)
    assert record.trials[trial].status == "failed"
    return record.trials[trial].error


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (KeyError("bad luck"), "KeyError: 'bad luck'"),
        (ValueError("sizes differ:\n\n    2 and 3"), "ValueError: sizes differ: 2 and 3"),
        (StopIteration(), "StopIteration"),
    ],
)
def test_an_exception_is_kept_as_its_kind_and_text(tiny, tmp_path, raised, expected):
    try:
        raise raised
    except Exception as error:
        remote = RayTaskError("step", traceback.format_exc(), error, proctitle="ray::TorchTrial.step")
    assert failed_with(tiny, tmp_path, str(remote)) == expected


def test_a_rank_that_died_is_called_so(tiny, tmp_path):
    try:
        raise ActorDiedError
    except Exception as error:
        remote = RayTaskError("step", traceback.format_exc(), error, proctitle="ray::TorchTrial.step")
    assert failed_with(tiny, tmp_path, str(remote)).startswith(
        "a process of the trial died: The actor died unexpectedly"
    )


def test_a_process_that_died_is_called_so(tiny, tmp_path):
    text = "The actor died unexpectedly.\n\tclass_name: TorchTrial\nWorker exits with an exit code 1."
    expected = "The actor died unexpectedly. class_name: TorchTrial Worker exits with an exit code 1."
    assert failed_with(tiny, tmp_path, text) == f"a process of the trial died: {expected}"
