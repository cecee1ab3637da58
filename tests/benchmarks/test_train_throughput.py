from itertools import islice

import pytest
import torch

from benchmarks.throughput import bare, bare_gpu, usual
from benchmarks.throughput.task import CHANGES, MODELS, configured
from trainables import AugmentConfig, Dataset, Split, load_data


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(configured("mlp", 1).data.model_copy(update={"name": "digits"}))


@pytest.mark.parametrize("model", MODELS)
def test_every_way_trains(digits, model):
    config = configured(model, epochs=1)
    ways = [bare.epochs(config, digits), usual.epochs(config, digits, workers=0)]
    assert all(speed > 0 for way in ways for speed in islice(way, 1))


def test_the_usual_way_changes_a_picture_as_ours_does():
    """A picture that has no direction and no light but a spot: the spot moves no further, and stays a spot."""
    pictures = torch.zeros(60, 1, 28, 28, dtype=torch.uint8)
    pictures[..., 13:15, 13:15] = 255
    moving = {name: CHANGES[name] for name in ("rotate", "shift", "zoom", "shear", "flip", "crop")}
    changed = usual.Pictures(Split(pictures, torch.zeros(60)), AugmentConfig.model_validate(moving))
    for image, _ in (changed[index] for index in range(60)):
        assert image.shape == (1, 28, 28)
        mass = image[0] / image.sum()
        place = torch.arange(28) - 13.5
        down, right = float((mass.sum(1) * place).sum()), float((mass.sum(0) * place).sum())
        assert max(abs(down), abs(right)) <= 2 + 2.8 + 0.5


@pytest.mark.parametrize("model", MODELS)
def test_the_barest_loop_of_a_gpu_runs_on_a_cpu_too(digits, model):
    config = configured(model, epochs=1).model_copy(update={"ema": 0.9})
    assert next(bare_gpu.launched(config, digits, torch.device("cpu"))) > 0
