"""Asked to stop, a run stops within seconds, keeps everything and can go on."""

import signal

import pytest

from orchestrator import SweepError, open_run, resume, run
from orchestrator.changes import changed

pytestmark = pytest.mark.ray


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_stops_and_resume_goes_on(drive, sweep, number, code):
    driver = drive(sweep("stopped", compress=None, train={"model": {"name": "mlp"}, "epochs": 100}))
    assert driver.wait_until(lambda events: sum(event["event"] == "epoch" for event in events) > 2)
    driver.process.send_signal(number)
    assert driver.finish() == code
    assert f"Continue with: halving resume {driver.folder}" in driver.output
    stopped = open_run(driver.folder)
    assert len(stopped.trials()) < 6
    assert stopped.trials()["status"].iloc[-1] == "interrupted"
    assert stopped.record().stop == signal.Signals(number).name
    elapsed = stopped.elapsed()
    if number == signal.SIGINT:
        again = drive(driver.folder)
        assert again.finish() == 0, again.output
        assert len(open_run(driver.folder).trials()) == 6
        assert open_run(driver.folder).record().stop == ""
        assert open_run(driver.folder).elapsed() > elapsed


@pytest.mark.usefixtures("ray_session")
def test_a_finished_run_goes_on_with_more_trials_more_epochs_and_another_space(tiny):
    first = run(tiny(search={"name": "bayes", "trials": 2}, asha=None), quiet=True)
    before = first.trials()
    space = {"parameters": {"optimizer.lr": {"log_uniform": [1e-4, 1e-3]}, "model.width": {"grid": [32]}}}
    changes = {"space": space, "search": {"trials": 4}, "train": {"epochs": 6}}
    after = resume(first.folder, changes, quiet=True).trials()
    assert after["trial"].tolist() == ["0001", "0002", "0003", "0004"]
    assert after["val_loss"][:2].tolist() == before["val_loss"].tolist()
    assert after["epochs"].tolist() == [4, 4, 6, 6]
    assert set(after["config.model.width"][2:]) == {32}


@pytest.mark.parametrize("changes", [{"seed": 3}, {"metric": "val_loss"}, {"train": {"batch_size": 8}}, {"nme": 1}])
def test_what_must_stay_stays(tiny, changes):
    with pytest.raises(SweepError, match=next(iter(changes))):
        changed(tiny(), changes)


@pytest.mark.usefixtures("ray_session")
def test_a_limit_ends_the_search_says_why_and_a_plain_resume_starts_nothing(tiny, capsys):
    result = run(tiny(search={"name": "random", "trials": 40}, asha=None, limits={"epochs": 5}), quiet=True)
    before = result.trials()
    assert len(before) == 2
    assert "5 epochs are trained" in result.record().limit
    assert set(before["status"]) <= {"completed", "stopped"}
    again = resume(result.folder)
    told = "nothing to search: 5 epochs are trained, of limits.epochs 5; to extend it, change limits.epochs: "
    change = f"echo 'limits: {{epochs: 10}}' > more.yaml && halving resume {result.folder} --changes more.yaml"
    assert told + change in capsys.readouterr().out.splitlines()
    assert again.trials().equals(before)
    assert again.record().limit == result.record().limit
    extended = resume(result.folder, {"limits": {"epochs": 7}}, quiet=True)
    assert extended.trials()["epochs"].sum() == 7


@pytest.mark.usefixtures("ray_session")
def test_a_sweep_in_which_everything_fails_ends_early(tiny):
    sweep = tiny(
        space={"parameters": {"model.hidden": {"choice": [7]}, "optimizer.lr": {"log_uniform": [1e-3, 0.3]}}},
        search={"name": "random", "trials": 40},
        train={"model": {"name": "tests.orchestrator.own_models:Touchy"}, "epochs": 1},
        faults={"retries": 0, "give_up": 3},
    )
    result = run(sweep, quiet=True)
    assert len(result.trials()) == 3
    assert "all of the first 3 trials failed; the last: Diverged" in result.record().limit
