import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from trainables import OptimizerConfig, build_optimizer

NAMES = ["sgd", "adam", "adamw", "rmsprop"]
DECAY = 0.1


def plain(name: str, model: nn.Module) -> Optimizer:
    """torch's own as its documentation has it, one tensor at a time, with decay where it belongs."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    match name:
        case "sgd":
            return SGD(groups, lr=0.01, momentum=0.9, nesterov=True, foreach=False)
        case "adam":
            return Adam(groups, lr=0.01, foreach=False)
        case "adamw":
            return AdamW(groups, lr=0.01, foreach=False)
    return RMSprop(groups, lr=0.01, momentum=0.9, foreach=False)


def descend(model: nn.Module, optimizer: Optimizer, steps: int) -> Tensor:
    """The losses of fitting a constant."""
    x, losses = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - 3).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_torchs_own(name) -> None:
    model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 1))
    other = copy.deepcopy(model)
    config = OptimizerConfig(name=name, lr=0.01, momentum=0.9, weight_decay=DECAY)
    losses = descend(model, build_optimizer(model, config), 20)
    assert torch.allclose(losses, descend(other, plain(name, other), 20), rtol=1e-4)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


class ChannelNorm(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(*shape))


class Own(nn.Module):
    def __init__(self, **parameters: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in parameters.items():
            setattr(self, name, nn.Parameter(torch.ones(shape)))


def tied() -> nn.Module:
    model = nn.ModuleDict({"table": nn.Embedding(6, 4), "head": nn.Linear(4, 6)})
    model["head"].weight = model["table"].weight
    return model


weight_norm, spectral_norm = nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm
KINDS: list[tuple[nn.Module, set[str]]] = [
    (nn.Linear(3, 2), {"weight"}),
    (nn.Linear(1, 1), {"weight"}),
    (nn.Bilinear(2, 3, 4), {"weight"}),
    *((kind(4, 4, 3, groups=4), {"weight"}) for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d)),
    *((kind(4, 1, 1), {"weight"}) for kind in (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)),
    (nn.Embedding(3, 1), {"weight"}),
    (nn.EmbeddingBag(3, 4), {"weight"}),
    (nn.LSTM(1, 2, proj_size=1), {"weight_ih_l0", "weight_hh_l0", "weight_hr_l0"}),
    (
        nn.GRU(2, 3, bidirectional=True),
        {"weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse"},
    ),
    (nn.RNNCell(2, 3), {"weight_ih", "weight_hh"}),
    (nn.MultiheadAttention(4, 2, add_bias_kv=True), {"in_proj_weight", "out_proj.weight"}),
    (
        nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
        {"q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"},
    ),
    (nn.LayerNorm((4, 8, 8)), set()),
    (nn.RMSNorm((4, 8)), set()),
    (nn.GroupNorm(2, 4), set()),
    (nn.BatchNorm2d(4), set()),
    (nn.SyncBatchNorm(4), set()),
    (nn.InstanceNorm2d(4, affine=True), set()),
    (ChannelNorm(4, 8, 8), set()),
    (nn.PReLU(4), set()),
    (Own(scale=(4, 1, 1), own_bias=(4, 8, 8), gamma=(4, 4), logitScale=(2, 2), weight=(1, 4, 1)), set()),
    (Own(positions=(1, 9, 4), w=(2, 3), unit=()), {"positions", "w"}),
    (nn.ParameterDict({"bias": torch.ones(2, 2), "kernel": torch.ones(2, 2)}), {"kernel"}),
    (nn.ModuleDict({"scales": nn.ParameterList([torch.ones(2, 2)])}), set()),
    (nn.ModuleDict({"kernels": nn.ParameterList([torch.ones(2, 2), torch.ones(2)])}), {"kernels.0"}),
    (weight_norm(nn.Linear(3, 2)), {"parametrizations.weight.original1"}),
    (spectral_norm(nn.Linear(3, 1)), {"parametrizations.weight.original"}),
    (tied(), {"table.weight"}),
]


@pytest.mark.parametrize(("model", "expected"), KINDS, ids=lambda value: type(value).__name__)
def test_layers_weights_decay_and_norms_biases_and_scales_do_not(model: nn.Module, expected: set[str]) -> None:
    optimizer = build_optimizer(model, OptimizerConfig(weight_decay=DECAY))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    names = {name for name, parameter in model.named_parameters() if decay[id(parameter)]}
    assert names == expected
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_complex_weights_descend(name: str) -> None:
    model = Own(w=(4, 1))
    model.w = nn.Parameter(torch.ones(4, 1, dtype=torch.complex64))
    model.forward = lambda x: (x.to(torch.complex64) @ model.w).abs()  # type: ignore[method-assign]
    losses = descend(model, build_optimizer(model, OptimizerConfig(name=name, lr=0.01)), 30)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_each_descends(name, momentum: float) -> None:
    model = nn.Linear(4, 1)
    losses = descend(model, build_optimizer(model, OptimizerConfig(name=name, lr=0.01, momentum=momentum)), 50)
    assert losses[-1] < losses[0] / 2


def test_frozen_weights_stay_out() -> None:
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    optimizer = build_optimizer(model, OptimizerConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@pytest.mark.parametrize(("rule", "expected"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_the_rate_grows_with_the_global_batch(rule, expected: float) -> None:
    assert OptimizerConfig(lr=0.1, lr_scaling=rule, base_batch=64).scaled_lr(256) == pytest.approx(expected)
