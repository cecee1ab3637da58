"""Asked to stop, a run stops within seconds, keeps everything and can go on."""

import signal

import pytest

from orchestrator import open_run, resume, run

pytestmark = pytest.mark.ray


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_and_resume_goes_on(drive, sweep, number, code):
    driver = drive(sweep("stopped", compress=None, train={"model": {"name": "mlp"}, "epochs": 100}))
    assert driver.wait_until(lambda events: sum(event["event"] == "epoch" for event in events) > 2)
    driver.process.send_signal(number)
    assert driver.finish() == code
    assert "halving resume" in driver.output
    assert len(open_run(driver.folder).trials()) < 6
    again = drive(driver.folder)
    assert again.finish() == 0, again.output
    assert len(open_run(driver.folder).trials()) == 6


@pytest.mark.usefixtures("ray_session")
def test_more_trials_and_more_epochs_extend_a_finished_run(tiny):
    first = run(tiny(search={"name": "random", "trials": 2}), quiet=True)
    before = first.trials()
    longer = resume(first.folder, {"search": {"trials": 4}, "train": {"epochs": 6}}, quiet=True)
    after = longer.trials()
    assert after["trial"].tolist() == ["0001", "0002", "0003", "0004"]
    assert after["epochs"][:2].tolist() == before["epochs"].tolist()
    assert after["epochs"][2:].max() > 4 or set(after["status"][2:]) == {"stopped"}


@pytest.mark.usefixtures("ray_session")
def test_another_space_is_taken_up(tiny):
    first = run(tiny(search={"name": "bayes", "trials": 2}), quiet=True)
    space = {"parameters": {"optimizer.lr": {"log_uniform": [1e-4, 1e-3]}, "model.width": {"grid": [32]}}}
    trials = resume(first.folder, {"space": space, "search": {"trials": 4}}, quiet=True).trials()
    assert set(trials["config.model.width"][2:]) == {32}


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"epochs": 5}, "5 epochs are trained"),
        ({"target": 0.2}, "has reached val_accuracy"),
        ({"patience": 2}, "trials since the best one"),
    ],
)
def test_a_limit_ends_the_search_and_says_why(tiny, limits, words):
    result = run(tiny(search={"name": "random", "trials": 40}, asha=None, limits=limits), quiet=True)
    assert len(result.trials()) < 40
    assert words in result.record().limit
    assert set(result.trials()["status"]) <= {"completed", "stopped"}


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
