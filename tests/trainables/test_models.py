import pickle
from dataclasses import replace

import pytest
import torch

from trainables import Dataset, ModelConfig, ModelError, Split, build_model, check_model, cnn, mlp, mobile, resnet

BUILDERS = [mlp, cnn, resnet, mobile]


@pytest.fixture(scope="module")
def values() -> Dataset:
    """Three features of other sizes, and what is to be predicted from them."""
    inputs = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 100.0, 0.01])
    split = Split(inputs, inputs.sum(1, keepdim=True) + 500)
    std, mean = torch.std_mean(inputs, dim=0)
    unit, centre = torch.std_mean(split.targets, dim=0)
    return Dataset(split, split, split, (), mean, std, target_mean=centre, target_std=unit)


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 10)])
def test_shipped_models_map_images_to_logits(builder, shape) -> None:
    model = builder(shape, 7, width=4, depth=2, dropout=0.1)
    assert model(torch.rand(3, *shape)).shape == (3, 7)


@pytest.mark.parametrize("builder", BUILDERS)
def test_width_and_depth_make_the_model_larger(builder) -> None:
    def size(**arguments: int) -> int:
        return sum(parameter.numel() for parameter in builder((1, 8, 8), 10, **arguments).parameters())

    assert size(width=4, depth=1) < size(width=8, depth=1) < size(width=8, depth=2)


def test_dropout_is_in_the_model() -> None:
    for builder in BUILDERS:
        model = builder((1, 8, 8), 10, dropout=0.5).train()
        images = torch.rand(8, 1, 8, 8)
        assert not torch.equal(model(images), model(images))


def test_the_first_layer_normalises(digits: Dataset) -> None:
    model = build_model(ModelConfig(), digits)
    normalized = next(iter(model.children()))(digits.train.inputs)
    assert float(normalized.mean()) == pytest.approx(0, abs=1e-4)
    assert float(normalized.std()) == pytest.approx(1, abs=1e-4)
    assert all(not name.startswith("normalize") for name, _ in model.named_parameters())


@pytest.mark.usefixtures("own_modules")
def test_a_users_own_module_is_built_like_a_shipped_one(digits: Dataset) -> None:
    config = ModelConfig.model_validate({"name": "own_model:Perceptron", "hidden": 5})
    model = build_model(config, digits)
    assert model.get_submodule("network.hidden").out_features == 5
    assert model(digits.train.inputs[:3]).shape == (3, 10)


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"name": "mpl"},
            r"^model\.name: must be one of mlp, cnn, resnet, mobile or 'package.module:Callable', .*you mean 'mlp'",
        ),
        (
            {"widht": 3},
            r"^model\.widht: unknown argument; 'resnet' takes width, depth, dropout, stem; did you mean 'width'",
        ),
        (
            {"name": "own_model:Perceptron", "width": 3},
            r"^model\.width: unknown argument; 'own_model:Perceptron' takes hidden$",
        ),
        ({"name": "own_model:Perceptrn"}, "own_model has no 'Perceptrn'; did you mean 'Perceptron'"),
        ({"name": "no_such_module:Net"}, "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        (
            {"name": "math:sqrt"},
            r"^model: 'math:sqrt': too many positional arguments; 'math:sqrt' takes no arguments",
        ),
        ({"name": "builtins:dict"}, r"^model\.name: must be a builder .*, but got 'builtins:dict'"),
        ({"name": "own_model:"}, r"^model\.name: must be 'package.module:name', but got 'own_model:'$"),
        ({"name": ":Net"}, r"^model\.name: must be 'package.module:name', but got ':Net'$"),
        ({"name": "own_model:NOT_A_MODEL"}, "must name a callable, but 'own_model:NOT_A_MODEL' is of type int"),
        ({"width": -5}, r"^model\.width: must be a whole number from 1 to 65536, but got -5$"),
        ({"width": 10**9}, r"^model\.width: must be a whole number .*, but got 1000000000$"),
        ({"name": "mlp", "depth": "x"}, r"^model\.depth: must be a whole number from 1 to 100, but got 'x'$"),
        ({"depth": 1.5}, r"^model\.depth: .*, but got 1\.5$"),
        ({"depth": 0}, r"^model\.depth: .*, but got 0$"),
        ({"depth": True}, r"^model\.depth: .*, but got True$"),
        ({"name": "mlp", "dropout": 2.0}, r"^model\.dropout: must be a number from 0 to below 1, but got 2\.0$"),
        ({"dropout": False}, r"^model\.dropout: .*, but got False$"),
        ({"stem": 3}, r"^model\.stem: must be one of 1, 2, 4, but got 3$"),
        ({"name": "mobile", "stem": True}, r"^model\.stem: .*, but got True$"),
    ],
)
def test_errors_say_what_would_work(digits: Dataset, config: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_model(ModelConfig.model_validate(config), digits)
    with pytest.raises(ModelError, match=message):
        check_model(ModelConfig.model_validate(config))


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("name", "hidden", "reason"), [("Perceptron", -1, "RuntimeError: "), ("Odd", 3, "AssertionError: .* must be even")]
)
def test_what_only_a_users_builder_knows_is_told_when_it_is_called(
    digits: Dataset, name: str, hidden: int, reason: str
) -> None:
    config = ModelConfig.model_validate({"name": f"own_model:{name}", "hidden": hidden})
    check_model(config)
    message = f"^model: 'own_model:{name}' cannot be built with {{'hidden': {hidden}}}: {reason}"
    with pytest.raises(ModelError, match=message):
        build_model(config, digits)


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"name": "own_model:OneTooFew"},
            r"^model: 'own_model:OneTooFew' must give \(batch, 10\) outputs for 10 classes, but gave \(2, 9\)",
        ),
        (
            {"name": "own_model:Two"},
            r"must give \(batch, 10\) outputs for 10 classes, but gave tuple for a batch of 2$",
        ),
        (
            {"name": "own_model:ForColours"},
            r"^model: 'own_model:ForColours' cannot take inputs of shape \(2, 1, 8, 8\): RuntimeError: .*channels",
        ),
        ({"name": "own_model:Frozen"}, r"^model: 'own_model:Frozen' must give outputs that have a gradient"),
        ({"name": "own_model:Detached"}, r"^model: 'own_model:Detached' must give outputs that have a gradient"),
    ],
)
def test_what_does_not_fit_the_data_is_told_before_training(digits: Dataset, config: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_model(ModelConfig.model_validate(config), digits)


def test_a_stem_looks_at_fewer_places() -> None:
    def places(stem: int) -> int:
        return int(resnet((1, 16, 16), 10, width=4, stem=stem)[:3](torch.rand(1, 1, 16, 16)).shape[-1])

    assert [places(stem) for stem in (1, 2, 4)] == [16, 8, 8]
    assert resnet((1, 16, 16), 10, width=4, stem=4)[:6](torch.rand(1, 1, 16, 16)).shape[-1] == 4


def test_features_are_normalised_and_values_are_in_their_units(values: Dataset) -> None:
    model = build_model(ModelConfig.model_validate({"name": "mlp", "width": 4}), values)
    normalized = next(iter(model.children()))(values.train.inputs)
    assert torch.allclose(normalized.mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(normalized.std(0), torch.ones(3), atol=1e-4)
    guesses = model.eval()(values.train.inputs).detach()
    assert guesses.shape == (60, 1)
    assert float((guesses - values.target_mean).abs().max()) < 5 * float(values.target_std)


@pytest.mark.parametrize("name", ["cnn", "resnet", "mobile"])
def test_a_convolution_of_features_is_refused(values: Dataset, name: str) -> None:
    message = rf"^model\.name: '{name}' is for images, but the data has 3 features; use mlp$"
    with pytest.raises(ModelError, match=message):
        build_model(ModelConfig(name=name), values)


@pytest.mark.parametrize("name", ["cnn", "resnet", "mobile"])
def test_images_may_have_a_value_to_predict(digits: Dataset, name: str) -> None:
    targets = digits.train.targets.float().unsqueeze(1)
    data = replace(digits, train=Split(digits.train.inputs, targets), classes=())
    assert build_model(ModelConfig(name=name), data)(digits.train.inputs[:3]).shape == (3, 1)


def test_what_a_builder_makes_must_be_a_module(digits: Dataset) -> None:
    with pytest.raises(ModelError, match=r"^model\.name: must make a torch.nn.Module, but 'builtins:print' made None$"):
        build_model(ModelConfig(name="builtins:print"), digits)


def test_the_largest_shipped_model_is_checked_without_the_memory_it_takes() -> None:
    check_model(ModelConfig.model_validate({"name": "mlp", "width": 2**16, "depth": 100, "dropout": 0}))


def test_an_error_keeps_its_key_on_its_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ModelError.at("model.width", "must be small")))
    assert (error.key, str(error)) == ("model.width", "model.width: must be small")
