"""The measure of efficiency: what it makes of two searches, and that the peer trains as ours does."""

import json
import subprocess
import sys
from math import inf
from pathlib import Path

import pytest
import torch

from benchmarks.efficiency import Curve, Outcome, figures, mean_at, seconds_to
from benchmarks.fashion.task import CONCURRENT, SPACE, Task, convnet
from trainables import Split
from trainables.data import FASHION_MNIST

FIRST = Curve.of([(3.0, 0.6), (1.0, 0.5), (2.0, 0.4), (8.0, 0.9)])
SECOND = Curve.of([(2.0, 0.7), (4.0, 0.8)])


def outcome(*reports: tuple[float, float]) -> Outcome:
    curve = Curve.of(reports)
    return Outcome(
        curve, curve.seconds[-1], {"train": 0.95 * CONCURRENT * curve.seconds[-1], "rest": 1.0}, len(reports)
    )


def test_a_curve_rises_only() -> None:
    assert (FIRST.seconds, FIRST.values) == ((1.0, 3.0, 8.0), (0.5, 0.6, 0.9))
    assert [FIRST.at(second) for second in (0.5, 1.0, 7.9, inf)] == [0.0, 0.5, 0.6, 0.9]


def test_searches_count_by_their_mean() -> None:
    assert mean_at([FIRST, SECOND], 3.5) == pytest.approx(0.65)
    assert seconds_to([FIRST, SECOND], 0.64) == 3.0
    assert seconds_to([FIRST, SECOND], 0.85) == 8.0
    assert seconds_to([FIRST, SECOND], 0.86) == inf


def test_twice_as_fast_is_a_ratio_of_a_half() -> None:
    ours = [outcome((1.0, 0.6), (2.0, 0.8), (5.0, 0.9)), outcome((1.0, 0.5), (3.0, 0.7))]
    usual = [outcome((2.0, 0.6), (4.0, 0.8)), outcome((3.0, 0.5), (6.0, 0.7))]
    by_name = {figure.name: figure for figure in figures(ours, usual)}
    ratio = by_name["time to the usual way's final accuracy, ratio"]
    assert (ratio.value, ratio.holds) == (0.5, True)
    assert [by_name[f"seed {seed}: ratio"].value for seed in (0, 1)] == [0.5, 0.5]
    share = by_name["ours: share of worker time, train"]
    assert (share.value, share.holds) == (pytest.approx(0.95), True)
    assert by_name["ours: best validation accuracy after 0.5 of that"].value == pytest.approx(0.65)


def test_an_accuracy_never_reached_does_not_hold() -> None:
    *_, ratio = figures([outcome((1.0, 0.6))], [outcome((2.0, 0.7))])
    assert (ratio.value, ratio.holds) == (inf, False)


def test_the_model_takes_every_width_of_the_space() -> None:
    for width in SPACE.parameters["model.width"].options:
        assert convnet((1, 28, 28), 10, width)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_peer_sees_the_same_space_and_images() -> None:
    pytest.importorskip("optuna", reason="the extra `bench` is not installed")
    usual = pytest.importorskip("benchmarks.fashion.usual")
    assert list(usual.ray_space()) == list(SPACE.parameters)
    images = torch.arange(2 * 36, dtype=torch.uint8).reshape(2, 1, 6, 6)
    plain = usual.Clothes(Split(images, torch.tensor([4, 7])))
    assert torch.equal(plain[1][0], images[1] / 255)
    assert int(plain[1][1]) == 7
    changed = usual.Clothes(plain.split, crop=2, flip=1.0)[0][0]
    assert changed.shape == (1, 6, 6)
    assert set(changed.flatten().tolist()) <= set((images[0] / 255).flatten().tolist())


def test_a_task_survives_the_way_to_another_process() -> None:
    task = Task(seed=1, trials=2, epochs=3, data={"name": "digits"}, folder="here", minutes=0.5)
    assert Task.from_json(task.to_json()) == task
    config = task.train_config({"optimizer.lr": 0.1, "model.width": 4})
    assert (config.epochs, config.seed, config.model.arguments) == (3, 1, {"width": 4})


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.skipif(not Path(FASHION_MNIST).is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_smallest_run_measures_both_ways(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `bench` is not installed")
    sizes = ["--seeds", "1", "--trials", "2", "--epochs", "1", "--images", "600"]
    command = [sys.executable, "benchmarks/efficiency.py", *sizes, "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    values = {row["name"]: row["value"] for row in json.loads((tmp_path / "figures.json").read_text())["figures"]}
    assert 0 < values["ours: share of worker time, train"] < 1
    assert 0 < values["usual: share of worker time, train"] < 1
    assert 0 < values["usual: best validation accuracy after 1 of that"] < 1
    assert values["ours: epochs an hour"] > 0
