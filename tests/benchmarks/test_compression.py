from math import isfinite
from pathlib import Path

import pytest
import torch

from benchmarks.compressing import front, peer, seed
from benchmarks.compressing.clock import DENSE, DENSE_INT8, EAGER, INT8, OURS, PEER
from benchmarks.compressing.ours import compressed
from benchmarks.compressing.parents import parent
from benchmarks.compression import SHORT, STUDENT, summary
from benchmarks.fashion_mnist import RECIPE
from orchestrator import SearchConfig
from orchestrator.sweep import load_sweep
from trainables import load_data
from trainables.compress import Parent, StudentConfig, cost

STUDENT_OF_DIGITS = StudentConfig(**{**STUDENT, "epochs": 2})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Parent:
    """A narrow network of the recipe's kind that knows digits."""
    sizes = {"model.width": 8, "model.depth": 1, "epochs": 5, "schedule.warmup": 1}
    config = load_sweep(RECIPE).train_config({**SHORT, **sizes})
    return parent(config, tmp_path_factory.mktemp("nets"))


def test_the_peer_prunes_to_the_target_and_trains(small: Parent, tmp_path: Path):
    data = load_data(small.train.data)
    outcome, file = peer.made(small, data, STUDENT_OF_DIGITS, tmp_path)
    assert outcome.macs <= 0.25 * cost(small.model, data.input_shape).macs
    assert outcome.test_accuracy > 0.3
    assert file.exists()
    assert peer.made(small, data, STUDENT_OF_DIGITS, tmp_path) == (
        outcome,
        file,
    )  # its minutes, too: that of the folder


@pytest.mark.ray
def test_one_network_and_all_that_is_made_of_it(ray_session, small: Parent, tmp_path: Path):
    result = seed.compare(small, STUDENT_OF_DIGITS, tmp_path, repeats=3)
    assert 0 < result.macs <= 0.25
    assert {name for name, _ in result.times} == {EAGER, DENSE, DENSE_INT8, OURS, INT8, PEER}
    figures = [*seed.figures(0, result), *summary({0: result, 1: result})]
    assert all(isfinite(figure.value) for figure in figures)
    journal = [path.read_bytes() for path in sorted((tmp_path / "seed-0" / "journal").iterdir())]
    again = seed.compare(small, STUDENT_OF_DIGITS, tmp_path, repeats=3)
    assert again.accuracies == result.accuracies
    assert journal == [path.read_bytes() for path in sorted((tmp_path / "seed-0" / "journal").iterdir())]
    with pytest.raises(SystemExit, match="same settings"):
        seed.compare(small, STUDENT_OF_DIGITS.model_copy(update={"lr": 0.2}), tmp_path, repeats=3)


@pytest.mark.ray
def test_a_search_shows_its_front(ray_session, small: Parent, tmp_path: Path):
    few = {"search": SearchConfig(name="random", trials=2), "asha": None, "models": 1}
    run = compressed(small, front.stage(epochs=1, budget=10).model_copy(update=few), tmp_path / "search")
    figures = {figure.name: figure for figure in front.figures(run, budget=10)}
    assert figures["search: students completed"].value == 2  # its controls are not counted
    assert figures["search: candidates with a model"].holds is False
    assert front.table(run).row_count == figures["front: models"].value > 0
    front.save_plot(run, tmp_path / "plots" / "front.png")
    assert (tmp_path / "plots" / "front.png").stat().st_size > 1000


def test_figures_say_what_is_wanted():
    times = {(name, batch): ms for batch in (1, 32) for name, ms in ((EAGER, 8.0), (DENSE, 3.0), (INT8, 1.0))}
    accuracies = {DENSE: 0.94, OURS: 0.937, INT8: 0.936, "control": 0.935, PEER: 0.938}
    result = seed.Result(accuracies=accuracies, macs=0.24, peer_macs=0.25, bytes=0.09, times=times)
    assert result.gains == {"control": pytest.approx(0.2), PEER: pytest.approx(-0.1)}
    assert all(figure.holds is not False for figure in seed.figures(0, result))
    missed = [figure.name for figure in summary({0: result, 1: result}) if figure.holds is False]
    assert missed == ["ours above torch-pruning, mean"]


def test_the_peer_leaves_the_parent_as_it_is(small: Parent):
    before = {name: value.clone() for name, value in small.model.state_dict().items()}
    peer.pruned(small.model, (1, 8, 8), 0.5)
    assert all(torch.equal(value, before[name]) for name, value in small.model.state_dict().items())
