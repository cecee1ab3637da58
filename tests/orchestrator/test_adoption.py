"""Models that were trained elsewhere, as users bring them to `compress`."""

import pytest
import torch
from torch import nn

from orchestrator import StageConfig, SweepError, compress
from tests.orchestrator.own_models import Linear
from trainables import ModelConfig, TrainConfig, build_model, evaluate, load_data

OWN = "tests.orchestrator.own_models:Linear"
STAGE = StageConfig.model_validate({"best": 1, "keep_macs": [], "int8": False})


class Other(nn.Module):
    """Not to be built from (input_shape, outputs)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, images):
        return self.layers(images)


class Doubled(Linear):
    """The parameters of Linear, used otherwise."""

    def forward(self, images):
        return 2 * super().forward(images)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("train", [TrainConfig(), TrainConfig(model=ModelConfig(name=OWN, hidden=16))])
def test_a_network_of_the_users_own_is_compressed_as_it_computes(tmp_path, train):
    network = Linear((1, 8, 8), 10)
    result = compress(network, train, STAGE, name="mine", storage=str(tmp_path), quiet=True)
    accuracy = evaluate(network, load_data(train.data).validation).accuracy
    assert result.best()["val_accuracy"].tolist() == [pytest.approx(accuracy)]
    assert result.models()["val_accuracy"].tolist() == [pytest.approx(accuracy)]
    assert result.sweep.train_config({}).model.name == OWN


@pytest.mark.parametrize(
    ("model", "train", "message"),
    [
        (Other(), {}, r"model: must have the parameters that train\.model, resnet, builds: .*ModelConfig\(name="),
        (Linear((1, 8, 8), 10, hidden=8), {}, rf"that train\.model, {OWN}, builds: .* \(16,\), but got \(8,\)"),
        (Doubled((1, 8, 8), 10), {"model": {"name": OWN}}, r"model: must compute what train\.model, .* differ by 0\.5"),
        (nn.Conv2d(3, 10, 1), {"model": {"name": "torch.nn:Conv2d", "kernel_size": 1}}, r"train\.model: 'torch"),
        (Other(), {"model": {"name": "no.module:Net"}}, r"train\.model\.name: 'no\.module:Net' cannot be imported"),
    ],
)
def test_a_model_that_cannot_be_built_again_is_refused_with_what_is_needed(tmp_path, model, train, message):
    with pytest.raises(SweepError, match=message):
        compress(model, TrainConfig.of(train), STAGE, name="mine", storage=str(tmp_path), quiet=True)
    assert not (tmp_path / "mine").exists()


def test_the_model_given_stays_as_it_is(tmp_path):
    model = build_model(ModelConfig(name="mlp"), load_data(TrainConfig().data)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(SweepError):
        compress(model, TrainConfig.of({"model": {"name": "cnn"}}), STAGE, name="x", storage=str(tmp_path), quiet=True)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
