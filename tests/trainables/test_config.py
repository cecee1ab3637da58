import pickle

import pytest

from trainables import SettingError, TrainConfig


def failing_keys(base: dict, overrides: dict) -> list[str]:
    with pytest.raises(SettingError) as caught:
        TrainConfig.of(base, overrides)
    return [line.partition(": ")[0] for line in str(caught.value).splitlines()]


def test_overrides_win_over_the_base_and_leave_its_other_keys() -> None:
    base = {"optimizer": {"name": "adam", "lr": 0.1}, "epochs": 5}
    config = TrainConfig.of(base, {"optimizer.lr": 0.2, "augment.crop": 1, "batch_size": 32})
    assert (config.optimizer.name, config.optimizer.lr, config.epochs) == ("adam", 0.2, 5)
    assert (config.augment.crop, config.batch_size) == (1, 32)
    assert base == {"optimizer": {"name": "adam", "lr": 0.1}, "epochs": 5}


def test_other_keys_of_the_model_are_its_arguments() -> None:
    config = TrainConfig.of({"model": {"name": "own:Net", "depth": 2}}, {"model.hidden": 64})
    assert config.model.arguments == {"depth": 2, "hidden": 64}


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ({"optimizer.lrr": 0.1}, "optimizer.lrr"),
        ({"optimiser.lr": 0.1}, "optimiser"),
        ({"epoch": 3}, "epoch"),
        ({"optimizer.lr": 0}, "optimizer.lr"),
        ({"optimizer.lr": float("nan")}, "optimizer.lr"),
        ({"optimizer.lr": float("inf")}, "optimizer.lr"),
        ({"optimizer.momentum": 1.0}, "optimizer.momentum"),
        ({"optimizer.name": "lion"}, "optimizer.name"),
        ({"epochs.many": 3}, "epochs.many"),
        ({"epochs": 2.5}, "epochs"),
        ({"epochs": 3.0}, "epochs"),
        ({"epochs": "5"}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"epochs": 10**10}, "epochs"),
        ({"batch_size": 10**10}, "batch_size"),
        ({"seed": 2**32}, "seed"),
        ({"optimizer.lr": True}, "optimizer.lr"),
        ({"optimizer.lr": "0.1"}, "optimizer.lr"),
        ({"model.name": 3}, "model.name"),
        ({"data.path": "~no-such-user/images"}, "data.path"),
        ({"data.path": "a\0b"}, "data.path"),
        ({"batch_size": 1}, "batch_size"),
        ({"stopping.patience": 0}, "stopping.patience"),
        ({"augment.erase": 1.5}, "augment.erase"),
        ({"augment.zoom": 1.0}, "augment.zoom"),
        ({"optimizer.clip_norm": 0.0}, "optimizer.clip_norm"),
        ({"optimizer.lr_scaling": "cubic"}, "optimizer.lr_scaling"),
        ({"schedule.name": "cosin"}, "schedule.name"),
        ({"ema": 1.0}, "ema"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"accumulate": 0}, "accumulate"),
        ({"precision": "int8"}, "precision"),
        ({"data.test": 0.5, "data.validation": 0.5}, "data.test"),
        ({"schedule.warmup": 4}, "schedule"),
    ],
)
def test_an_error_names_the_whole_key(overrides: dict, key: str) -> None:
    assert failing_keys({"epochs": 4}, overrides) == [key]


def test_a_wrong_base_is_not_hidden_by_an_override_below_it() -> None:
    for wrong in (3, None, [1], "sgd"):
        assert failing_keys({"optimizer": wrong}, {"optimizer.lr": 0.1}) == ["optimizer"]


def test_a_whole_number_is_a_real_one_too() -> None:
    assert TrainConfig.of({}, {"optimizer.lr": 1}).optimizer.lr == 1.0


def test_survives_json_and_pickle() -> None:
    config = TrainConfig.of({"model": {"name": "mlp", "width": 8}}, {"stopping.patience": 3})
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config
    assert pickle.loads(pickle.dumps(config)) == config
