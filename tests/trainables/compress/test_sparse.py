"""Weights become zero little by little, as many as asked, stay so, and a file holds the others only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainables.compress import GradualSparsity, load_weights, prunable_weights, save_sparse, save_weights


def two_layers() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 10), nn.BatchNorm1d(10), nn.Linear(10, 4))
    nn.init.uniform_(model[2].weight, 5, 6)
    return model


def zeros(model: nn.Module) -> dict[str, float]:
    return {name: float((weight == 0).double().mean()) for name, weight in model.named_parameters()}


def prune(model: nn.Module, sparsity: float, scope: str, steps: int) -> list[float]:
    gradual = GradualSparsity(prunable_weights(model), sparsity, scope, steps)  # type: ignore[arg-type]
    shares = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.01
        gradual.after_step()
        weights = torch.cat([weight.flatten() for weight in prunable_weights(model).values()])
        shares.append(float((weights == 0).double().mean()))
    assert gradual.settled
    return shares


def test_the_fraction_climbs_as_a_cube_to_what_was_asked() -> None:
    shares = prune(two_layers(), 0.75, "global", steps=10)
    expected = [0.75 * (1 - (1 - step / 10) ** 3) for step in range(1, 11)]
    assert shares == pytest.approx(expected, abs=1 / 240)
    assert shares[-1] == 0.75


def test_the_smallest_of_the_network_or_of_each_layer() -> None:
    shares = {}
    for scope in ("global", "local"):
        prune(model := two_layers(), 0.5, scope, steps=4)
        shares[scope] = zeros(model)
    assert shares["global"] == {"0.weight": 0.6, "0.bias": 0, "1.weight": 0, "1.bias": 0, "2.weight": 0, "2.bias": 0}
    assert shares["local"] | {"0.weight": 0.5, "2.weight": 0.5} == shares["local"]


def test_a_zero_stays_zero_while_the_others_move() -> None:
    model = two_layers()
    gradual = GradualSparsity(prunable_weights(model), 0.5, "local", steps=1)
    gradual.after_step()
    gone = model[0].weight == 0
    with torch.no_grad():
        model[0].weight += 1
    gradual.after_step()
    assert torch.equal(model[0].weight == 0, gone)


def test_it_goes_on_from_its_state() -> None:
    whole, parts = two_layers(), two_layers()
    one = GradualSparsity(prunable_weights(whole), 0.8, "global", steps=6)
    first = GradualSparsity(prunable_weights(parts), 0.8, "global", steps=6)
    for step in range(6):
        one.after_step()
        if step == 3:
            state = first.state_dict()
            first = GradualSparsity(prunable_weights(parts), 0.8, "global", steps=6)
            first.load_state_dict(state)
        first.after_step()
    assert torch.equal(whole[0].weight, parts[0].weight)
    assert torch.equal(whole[2].weight, parts[2].weight)


def test_some_layers_are_left_alone() -> None:
    assert list(prunable_weights(two_layers())) == ["0.weight", "2.weight"]
    assert list(prunable_weights(two_layers(), {"2"})) == ["0.weight"]


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sparse = torch.rand(300, 200, generator=generator)
    return {
        "large": sparse * (sparse > 0.9),
        "small": torch.eye(50),
        "dense": torch.rand(7, 3, generator=generator),
        "counter": torch.tensor(3),
        "nothing": torch.zeros(40, 5),
    }


def test_a_sparse_file_gives_back_the_same_tensors_and_is_smaller(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    save_sparse(tensors, tmp_path / "sparse.safetensors")
    loaded = load_weights(tmp_path / "sparse.safetensors")
    assert loaded.keys() == tensors.keys()
    assert all(
        torch.equal(loaded[name], value) and loaded[name].dtype == value.dtype for name, value in tensors.items()
    )
    assert (tmp_path / "sparse.safetensors").stat().st_size < 0.25 * 4 * 300 * 200


def test_a_file_that_is_not_sparse_can_be_read_as_well(tmp_path: Path) -> None:
    model = two_layers()
    save_weights(model, tmp_path / "weights.safetensors")
    loaded = load_weights(tmp_path / "weights.safetensors")
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("damage", ["cut", "not one", "indices"])
def test_a_damaged_file_is_named(damage: str, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "sparse.safetensors"
    save_sparse(tensors, path)
    content = path.read_bytes()
    damaged = {
        "cut": content[:-100],
        "not one": b"not one",
        "indices": content.replace(b"[50, 50]", b"[5, 50 ]"),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=r"sparse\.safetensors is no whole file of weights"):
        load_weights(path)
