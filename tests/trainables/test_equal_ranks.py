"""Models of every kind of parameter and buffer, trained by one, two and three real ranks and by a plain loop."""

from __future__ import annotations

import copy
import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

RANKS = (1, 2, 3)
EPOCHS = 3
Trained = Callable[[int, dict[str, Any], list[str]], list[dict[str, Any]]]

OPTIMIZERS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["sgd", "adamw", "adam", "rmsprop"]),
        "lr": st.just(0.02),
        "weight_decay": st.sampled_from([0.0, 0.3]),
        "clip_norm": st.sampled_from([None, 0.2]),
    }
)
CONFIGS = st.fixed_dictionaries(
    {
        "optimizer": OPTIMIZERS,
        "ema": st.sampled_from([0.0, 0.9]),
        "accumulate": st.sampled_from([1, 2]),
        "label_smoothing": st.sampled_from([0.0, 0.1]),
    }
)
EVERYTHING: dict[str, Any] = {
    "optimizer": {"name": "sgd", "lr": 0.02, "weight_decay": 0.3, "clip_norm": 0.2},
    **{"ema": 0.9, "accumulate": 2, "label_smoothing": 0.1},
}


@pytest.fixture(scope="module")
def mixed(own_modules: None) -> Any:
    return importlib.import_module("mixed")


@pytest.fixture(scope="module")
def trained(mixed: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Trains on so many ranks, which wait for work as long as the tests of this file run."""
    context, folder = mp.get_context("spawn"), tmp_path_factory.mktemp("meetings")
    pipes = [context.Pipe() for _ in range(max(RANKS))]
    processes = [context.Process(target=mixed.serve, args=(n, end), daemon=True) for n, (_, end) in enumerate(pipes)]
    for process in processes:
        process.start()
    meetings = itertools.count()

    def train(size: int, config: dict[str, Any], parts: list[str]) -> list[dict[str, Any]]:
        if size == 1:
            return [mixed.trained(config, parts)]
        address = f"file://{folder}/{next(meetings)}"
        for ours, _ in pipes[:size]:
            ours.send((size, address, config, parts))
        results = [ours.recv() for ours, _ in pipes[:size]]
        assert all(isinstance(result, dict) for result in results), results
        return results

    yield train
    for ours, _ in pipes:
        ours.send(None)
    for process in processes:
        process.join()


def plain(mixed: Any, config: dict[str, Any], parts: list[str]) -> dict[str, Any]:
    """As torch's tutorials write it: the batch is all rows; each buffer by hand as its definition has it."""
    model, data = mixed.made(parts), mixed.data()
    parameters = {name: one for name, one in model.named_parameters() if one.requires_grad}
    optimizer = _optimizer(mixed, config["optimizer"], parameters)
    averages = {name: value.clone() for name, value in _averaged(mixed, model).items()}
    losses = []
    for step in range(1, EPOCHS + 1):
        optimizer.zero_grad()
        model.train()
        count = config["accumulate"]
        pieces = zip(data.train.inputs.chunk(count), data.train.targets.chunk(count), strict=True)
        loss = sum(_loss(model, inputs, labels, config["label_smoothing"]) / count for inputs, labels in pieces)
        loss.backward()
        if config["optimizer"]["clip_norm"]:
            have = [one for one in parameters.values() if one.grad is not None]
            for one in have:
                one.grad = one.grad.to_dense() if one.grad.is_sparse else one.grad
            nn.utils.clip_grad_norm_(have, config["optimizer"]["clip_norm"], foreach=False)
        else:
            for one in parameters.values():
                one.grad = one.grad.to_dense() if one.grad is not None and one.grad.is_sparse else one.grad
        optimizer.step()
        losses.append(loss.item())
        decay = min(config["ema"], (1 + step) / (10 + step))
        for name, value in _averaged(mixed, model).items():
            averages[name] = decay * averages[name] + (1 - decay) * value.detach()
    measured = copy.deepcopy(model).eval()
    if config["ema"]:
        held = _averaged(mixed, measured)
        with torch.no_grad():
            for name, value in averages.items():
                held[name].copy_(value)
    with torch.no_grad():
        logits = measured(data.validation.inputs)
    val_loss = nn.functional.cross_entropy(logits, data.validation.targets).item()
    live = mixed.tensors(model)
    gradients = {name: one.grad for name, one in model.named_parameters()}
    return {"losses": losses, "val_loss": val_loss, "live": live, "averages": averages, "gradients": gradients}


def _optimizer(mixed: Any, config: dict[str, Any], parameters: dict[str, Tensor]) -> torch.optim.Optimizer:
    decaying = [one for name, one in parameters.items() if name.endswith(mixed.DECAYING)]
    others = [one for name, one in parameters.items() if not name.endswith(mixed.DECAYING)]
    groups = [{"params": decaying, "weight_decay": config["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    match config["name"]:
        case "sgd":
            return torch.optim.SGD(groups, lr=config["lr"], momentum=0.9, nesterov=True, foreach=False)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=config["lr"], momentum=0.9, foreach=False)
    kind = torch.optim.Adam if config["name"] == "adam" else torch.optim.AdamW
    return kind(groups, lr=config["lr"], foreach=False)


def _loss(model: nn.Module, inputs: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return nn.functional.cross_entropy(model(inputs), labels, label_smoothing=smoothing)


def _averaged(mixed: Any, model: nn.Module) -> dict[str, Tensor]:
    """What has an average: what is trained, and statistics."""
    parameters = {name: one for name, one in model.named_parameters() if one.requires_grad}
    statistics = {name: one for name, one in model.named_buffers() if "statistics" in name and "calls" not in name}
    return parameters | statistics


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=2e-5, atol=2e-5)


def same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


def parts_of(mixed: Any) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*mixed.OPTIONAL, *mixed.CONSTANTS]), unique=True, max_size=10)


def check(mixed: Any, trained: Trained, config: dict[str, Any], parts: list[str]) -> None:
    expected = plain(mixed, config, parts)
    complete = {**config, "batch_size": mixed.ROWS, "epochs": EPOCHS, "schedule": {"name": "constant"}}
    for size in RANKS:
        for result in trained(size, complete, parts):
            assert [m[0] for m in result["metrics"]] == pytest.approx(expected["losses"], abs=1e-5), size
            assert result["metrics"][-1][1] == pytest.approx(expected["val_loss"], abs=1e-5), size
            for name, value in expected["live"].items():
                assert close(result["live"][name], value) or same_bits(result["live"][name], value), (size, name)
            if config["ema"]:
                for name, value in expected["averages"].items():
                    assert close(result["averaged"][name], value), (size, name)
            for name, value in mixed.tensors(mixed.made(parts)).items():
                if "constant" in name or name.endswith(".mask") or name.startswith(("own.unused", "own.frozen")):
                    for state in ("live", "averaged", "best"):
                        assert same_bits(result[state][name], value), (size, state, name)
            for name, gradient in expected["gradients"].items():
                assert (result["gradients"][name] is None) == (gradient is None), (size, name)


def test_any_number_of_ranks_trains_what_a_plain_loop_does(mixed: Any, trained: Trained) -> None:
    @settings(max_examples=12, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate))
    @given(config=CONFIGS, parts=parts_of(mixed))
    @example(config=EVERYTHING, parts=[*mixed.OPTIONAL, *mixed.CONSTANTS])
    @example(config={**EVERYTHING, "ema": 0.0, "accumulate": 1}, parts=[*mixed.OPTIONAL, *mixed.CONSTANTS])
    def alike(config: dict[str, Any], parts: list[str]) -> None:
        check(mixed, trained, config, parts)

    alike()


def test_random_numbers_depend_on_seed_epoch_and_rank(mixed: Any, trained: Trained) -> None:
    config = {"batch_size": mixed.ROWS, "epochs": EPOCHS}
    steps = [rank["seen"] for size in RANKS for rank in trained(size, config, [])[-1:]]  # of the last rank of each
    steps.append(trained(1, {**config, "seed": 1}, [])[0]["seen"])
    masks = [tuple(mask.tolist()) for seen in steps for _, mask in seen]
    assert len(set(masks)) == len(masks) == 4 * EPOCHS
    assert trained(1, config, [])[0]["seen"][0][1].tolist() == list(masks[0])


@pytest.mark.parametrize("size", RANKS)
def test_ranks_share_one_order_which_is_another_each_epoch(mixed: Any, trained: Trained, size: int) -> None:
    results = trained(size, {"batch_size": mixed.ROWS, "epochs": EPOCHS}, [])
    orders = [torch.cat([result["seen"][epoch][0] for result in results]) for epoch in range(EPOCHS)]
    rows = mixed.data().train.inputs
    for order in orders:
        assert sorted(order.tolist()) == sorted(rows.tolist())
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(orders, 2))
