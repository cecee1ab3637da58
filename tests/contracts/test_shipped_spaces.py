"""The spaces that ship fit the trainables that ship: every configuration makes a model that can be trained."""

import numpy as np
import pytest

from search_spaces import load_space, shipped_spaces
from trainables.batches import Batches
from trainables.config import TrainConfig
from trainables.data import load_data
from trainables.models import build_model
from trainables.optim import build_optimizer
from trainables.parallel import SOLO


@pytest.mark.parametrize("name", shipped_spaces())
def test_every_configuration_of_a_shipped_space_can_be_trained(name):
    space, rng = load_space(name), np.random.default_rng(0)
    corners = [space.from_unit(np.full(len(space), u)) for u in (0.0, 1.0)]
    data = load_data(TrainConfig().data)
    for config in [*corners, *(space.sample(rng) for _ in range(10))]:
        train = TrainConfig.of({}, config)
        build_optimizer(build_model(train.model, data), train.optimizer)
        assert Batches(data, train, SOLO).steps > 0
