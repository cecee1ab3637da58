import pytest
import torch

from trainables import Dataset, ModelConfig, ModelError, build_model, mlp, resnet


@pytest.mark.parametrize("builder", [mlp, resnet])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 10)])
def test_shipped_models_map_images_to_logits(builder, shape) -> None:
    model = builder(shape, 7, width=4, depth=2, dropout=0.1)
    assert model(torch.rand(3, *shape)).shape == (3, 7)


@pytest.mark.parametrize("builder", [mlp, resnet])
def test_width_and_depth_make_the_model_larger(builder) -> None:
    def size(**arguments: int) -> int:
        return sum(parameter.numel() for parameter in builder((1, 8, 8), 10, **arguments).parameters())

    assert size(width=4, depth=1) < size(width=8, depth=1) < size(width=8, depth=2)


def test_dropout_is_in_the_model() -> None:
    for builder in (mlp, resnet):
        model = builder((1, 8, 8), 10, dropout=0.5).train()
        images = torch.rand(8, 1, 8, 8)
        assert not torch.equal(model(images), model(images))


def test_the_first_layer_normalises(digits: Dataset) -> None:
    model = build_model(ModelConfig(), digits)
    normalized = next(iter(model.children()))(digits.train.images)
    assert float(normalized.mean()) == pytest.approx(0, abs=1e-4)
    assert float(normalized.std()) == pytest.approx(1, abs=1e-4)
    assert all(not name.startswith("normalize") for name, _ in model.named_parameters())


@pytest.mark.usefixtures("own_modules")
def test_a_users_own_module_is_built_like_a_shipped_one(digits: Dataset) -> None:
    config = ModelConfig.model_validate({"name": "own_model:Perceptron", "hidden": 5})
    model = build_model(config, digits)
    assert model.get_submodule("network.hidden").out_features == 5
    assert model(digits.train.images[:3]).shape == (3, 10)


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "resnett"}, "one of mlp, resnet or 'package.module:Callable', but got 'resnett'"),
        ({"name": "resnet", "widht": 3}, "'widht'; its arguments are: width, depth, dropout"),
        ({"name": "own_model:Perceptron", "width": 3}, "'width'; its arguments are: hidden"),
        ({"name": "own_model:Missing"}, "'own_model:Missing' cannot be imported: .*Missing"),
        ({"name": "no_such_module:Net"}, "cannot be imported: No module named 'no_such_module'"),
        ({"name": "own_model:"}, "cannot be imported"),
        ({"name": ":Net"}, "cannot be imported"),
        ({"name": "resnet", "dropout": 2}, "cannot be built with {'dropout': 2}: dropout prob"),
        ({"name": "own_model:NOT_A_MODEL"}, "is not callable, but int"),
    ],
)
def test_errors_say_what_would_work(digits: Dataset, config: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_model(ModelConfig.model_validate(config), digits)
