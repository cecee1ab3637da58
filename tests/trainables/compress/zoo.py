"""Small networks, each around one operation that moves, mixes or counts channels; to be pruned exactly or kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

Shape = tuple[int, ...]
IMAGE, FEATURES = (3, 8, 8), (12,)


class Apply(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


class Join(nn.Module):
    """What a function makes of the outputs of several branches."""

    def __init__(self, function: Callable[..., Tensor], *branches: nn.Module) -> None:
        super().__init__()
        self.function, self.branches = function, nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(*(branch(x) for branch in self.branches))


class Held(nn.Module):
    """A function of the input and of parameters and buffers of its own."""

    def __init__(self, function: Callable[..., Tensor], *parameters: Tensor, buffers: tuple[Tensor, ...] = ()) -> None:
        super().__init__()
        self.function, self.held = function, nn.ParameterList(parameters)
        for number, buffer in enumerate(buffers):
            self.register_buffer(f"buffer{number}", buffer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.held, *self.buffers())


class Auxiliary(nn.Module):
    """A second head that is used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(3, 16), conv(16, 16)
        self.head, self.auxiliary = nn.Linear(16, 10), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        out: Tensor = self.head(self.second(x).relu().mean((2, 3)))
        return out + self.auxiliary(x.mean((2, 3))) if self.training else out


class Tokens(nn.Module):
    """Attention over places, written out: as many heads as given."""

    def __init__(self, heads: int = 2, scale: bool = True) -> None:
        super().__init__()
        self.embed, self.heads, self.scale = nn.Conv2d(3, 16, 2, 2), heads, scale
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))
        self.mix, self.wide, self.narrow = nn.Linear(16, 16), nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        q, k, v = (self._split(part(x)) for part in (self.query, self.key, self.value))
        scale = q.shape[-1] ** -0.5 if self.scale else 0.35
        x = x + self.mix(((q @ k.transpose(-2, -1) * scale).softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = x + self.narrow(F.gelu(self.wide(x)))
        out: Tensor = self.head(x.mean(1))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Recurrent(nn.Module):
    """A recurrent layer over places."""

    def __init__(self, kind: type[nn.RNNBase], **arguments: Any) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 1))
        self.layer = kind(16, 12, batch_first=True, **arguments)
        self.head = nn.Sequential(nn.LazyLinear(24), nn.ReLU(), nn.Linear(24, 10))

    def forward(self, x: Tensor) -> Tensor:
        found, _ = self.layer(self.embed(x).flatten(2).transpose(1, 2))
        out: Tensor = self.head(found[:, -1])
        return out


class Twice(nn.Module):
    """A layer that is called several times."""

    def __init__(self, layer: nn.Module, count: int = 2) -> None:
        super().__init__()
        self.layer, self.count = layer, count

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.count):
            x = self.layer(x).relu()
        return x


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self, one: nn.Module, other: nn.Module, between: nn.Module) -> None:
        super().__init__()
        self.one, self.between, self.other = one, between, other
        other.weight = one.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.other(self.between(self.one(x)))
        return out


class Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.squeeze, self.excite, self.gate = nn.Linear(channels, 8), nn.Linear(8, channels), gate

    def forward(self, x: Tensor) -> Tensor:
        gates = self.gate(self.excite(self.squeeze(x.mean((2, 3))).relu()))
        return x * gates[:, :, None, None]


def conv(inputs: int, outputs: int, size: int = 3, **arguments: Any) -> nn.Module:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, **arguments)


def pooled(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def around(*middle: nn.Module, inputs: int = 16, outputs: int = 16) -> nn.Module:
    """The layers between two convolutions, of which one more can be pruned whatever becomes of them."""
    last = [conv(outputs, 16), nn.ReLU(), conv(16, 16), nn.ReLU(), *pooled(16)]
    return nn.Sequential(conv(3, inputs), nn.ReLU(), *middle, *last)


def moved(function: Callable[[Tensor], Tensor], outputs: int = 16) -> Callable[[], nn.Module]:
    """A function of 16 channels in such a network."""
    return lambda: around(Apply(function), outputs=outputs)


def normed(*layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: around(conv(16, 16), *(layer() for layer in layers), nn.ReLU())


def dense(*middle: nn.Module, width: int = 32) -> nn.Module:
    return nn.Sequential(
        nn.Linear(12, width), *middle, nn.Linear(width, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)
    )


def shuffle(x: Tensor, groups: int = 4) -> Tensor:
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def flattened(function: Callable[[Tensor], Tensor], inputs: int) -> Callable[[], nn.Module]:
    """A way from maps of 16 channels to features."""
    return lambda: nn.Sequential(
        conv(3, 16), nn.ReLU(), conv(16, 16), nn.ReLU(), Apply(function), nn.Linear(inputs, 24), nn.ReLU(),
        nn.Linear(24, 10),
    )  # fmt: skip


def order(channels: int = 16) -> Tensor:
    return torch.randperm(channels, generator=torch.Generator().manual_seed(1))


def last(norm: nn.Module) -> nn.Module:
    """A norm of channels that stand last."""
    return nn.Sequential(Apply(lambda x: x.permute(0, 2, 3, 1)), norm, Apply(lambda x: x.permute(0, 3, 1, 2)))


def unet() -> nn.Module:
    up = nn.ConvTranspose2d(16, 16, 2, 2)
    inner = nn.Sequential(nn.MaxPool2d(2), conv(16, 16), nn.ReLU(), up)
    return nn.Sequential(
        conv(3, 16),
        Join(lambda *parts: torch.cat(parts, 1), nn.Identity(), inner),
        conv(32, 16),
        nn.ReLU(),
        *pooled(16),
    )


def inception() -> nn.Module:
    branches = [conv(16, 8, 1), conv(16, 12), nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(16, 4, 1))]
    return around(Join(lambda *parts: torch.cat(parts, 1).relu(), *branches), outputs=24)


def residual(norm: Callable[[], nn.Module] = nn.Identity) -> nn.Module:
    body = nn.Sequential(conv(16, 24), norm(), nn.ReLU(), conv(24, 16))
    return Join(lambda x, y: (x + y).relu(), nn.Identity(), body)


def pyramid() -> nn.Module:
    coarse = nn.Sequential(nn.AvgPool2d(2), conv(16, 16), nn.ReLU())
    up = nn.Sequential(coarse, nn.Upsample(scale_factor=2, mode="nearest"))
    return around(Join(torch.add, conv(16, 16, 1), up), nn.ReLU())


def attended() -> nn.Module:
    tokens = nn.Sequential(nn.Conv2d(3, 16, 2, 2), Apply(lambda x: x.flatten(2).transpose(1, 2)))
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    return nn.Sequential(tokens, layer, Apply(lambda x: x.mean(1)), nn.Linear(16, 10))


def multihead() -> nn.Module:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.mix = nn.Conv2d(3, 16, 2, 2), nn.MultiheadAttention(16, 4, batch_first=True)
            self.hidden, self.head = nn.Linear(16, 32), nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.embed(x).flatten(2).transpose(1, 2)
            out: Tensor = self.head(self.hidden(self.mix(x, x, x)[0].mean(1)).relu())
            return out

    return Own()


def mixer() -> nn.Module:
    def mlp(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    over = nn.Sequential(Apply(lambda x: x.transpose(1, 2)), mlp(16), Apply(lambda x: x.transpose(1, 2)))
    tokens = nn.Sequential(nn.Conv2d(3, 16, 2, 2), Apply(lambda x: x.flatten(2).transpose(1, 2)))
    parts = [Join(torch.add, nn.Identity(), over), Join(torch.add, nn.Identity(), mlp(16))]
    return nn.Sequential(tokens, *parts, Apply(lambda x: x.mean(1)), nn.Linear(16, 10))


MOVED: dict[str, Callable[[], nn.Module]] = {
    "permute and flatten": flattened(lambda x: x.permute(0, 2, 3, 1).flatten(1), 1024),
    "flatten": flattened(lambda x: x.flatten(1), 1024),
    "transposed flatten": flattened(lambda x: x.transpose(2, 3).flatten(1), 1024),
    "pooled flatten": flattened(lambda x: F.max_pool2d(x, 2).flatten(1), 256),
    "flatten of rows": flattened(lambda x: x.permute(0, 2, 1, 3).flatten(2).mean(1), 128),
    "fixed view": flattened(lambda x: x.view(-1, 1024), 1024),
    "view of halves": flattened(lambda x: x.view(-1, 2, 512).sum(1), 512),
    "unfold": flattened(lambda x: F.unfold(x, 3, padding=1).mean(2), 144),
    "bilinear pooling": flattened(lambda x: (x.flatten(2) @ x.flatten(2).transpose(1, 2)).flatten(1), 256),
    "einsum": flattened(lambda x: torch.einsum("nchw,ndhw->ncd", x, x).flatten(1), 256),
    "spatial softmax": flattened(lambda x: (x.flatten(2).softmax(2) * x.flatten(2)).sum(2), 16),
    "standard deviation": flattened(lambda x: torch.cat((x.mean((2, 3)), x.flatten(2).std(2)), 1), 32),
    "mean of channels": flattened(lambda x: x.mean(1).flatten(1), 64),
    "sum of channels": flattened(lambda x: x.sum(1).flatten(1), 64),
    "largest channel": flattened(lambda x: x.amax(1).flatten(1), 64),
    "norm of channels": flattened(lambda x: x.norm(dim=1).flatten(1), 64),
    "pixel shuffle": moved(lambda x: F.interpolate(F.pixel_shuffle(x, 2), 8), 4),
    "pixel unshuffle": moved(lambda x: F.pixel_unshuffle(x, 2), 64),
    "channel shuffle": moved(shuffle),
    "torch's channel shuffle": moved(lambda x: F.channel_shuffle(x, 4)),
    "halves swapped": moved(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "halves added": moved(lambda x: torch.add(*x.chunk(2, 1)), 8),
    "uneven split": moved(lambda x: x.split([4, 12], 1)[1], 12),
    "split and gated": moved(lambda x: x[:, :8] * x[:, 8:].sigmoid(), 8),
    "glu": moved(lambda x: F.glu(x, 1), 8),
    "unbound": moved(lambda x: torch.stack(x.unbind(1)[::-1], 1)),
    "first half": moved(lambda x: x[:, :8], 8),
    "every second": moved(lambda x: x[:, ::2], 8),
    "without the middle": moved(lambda x: torch.cat((x[:, :4], x[:, 12:]), 1), 8),
    "padded channels": moved(lambda x: F.pad(x, (0, 0, 0, 0, 4, 4)), 24),
    "padded with ones": moved(lambda x: F.pad(x, (0, 0, 0, 0, 4, 4), value=1.0), 24),
    "repeated": moved(lambda x: x.repeat(1, 2, 1, 1), 32),
    "repeated each": moved(lambda x: x.repeat_interleave(2, 1), 32),
    "expanded": moved(lambda x: x.unsqueeze(1).expand(-1, 2, -1, -1, -1).flatten(1, 2), 32),
    "concatenated with itself": moved(lambda x: torch.cat((x, -x), 1), 32),
    "permuted": lambda: around(Held(lambda x, index: x[:, index], buffers=(order(),))),
    "selected": lambda: around(Held(lambda x, index: x.index_select(1, index), buffers=(order()[:8],)), outputs=8),
    "flipped": moved(lambda x: x.flip(1)),
    "rolled": moved(lambda x: x.roll(3, 1)),
    "sorted": moved(lambda x: x.sort(1).values),
    "largest four": moved(lambda x: x.topk(4, 1).values, 4),
    "running sum": moved(lambda x: x.cumsum(1)),
    "neighbours subtracted": moved(lambda x: x - x.roll(1, 1)),
    "maxout": moved(lambda x: x.unflatten(1, (8, 2)).amax(2), 8),
    "frequencies": moved(lambda x: torch.fft.rfft(x, dim=1).abs(), 9),
    "sides swapped": moved(lambda x: x.transpose(2, 3)),
    "channels and rows swapped": moved(lambda x: F.pad(x, (4, 4, 4, 4)).transpose(1, 2)),
    "in place": moved(lambda x: x.clone().mul_(0.5).add_(0)),
    "single precision": moved(lambda x: x.float()),
    "first channels zeroed": moved(lambda x: torch.cat((torch.zeros_like(x[:, :4]), x[:, 4:]), 1)),
}

MIXED: dict[str, Callable[[], nn.Module]] = {
    "grouped": lambda: around(conv(16, 16, groups=4), nn.ReLU()),
    "grouped and shuffled": lambda: around(conv(16, 16, 1, groups=4), Apply(shuffle), conv(16, 16, groups=4)),
    "depthwise": lambda: around(conv(16, 16, groups=16), nn.ReLU()),
    "depthwise multiplier": lambda: around(conv(16, 32, groups=16), nn.ReLU(), outputs=32),
    "transposed": lambda: around(nn.ConvTranspose2d(16, 24, 3, padding=1), nn.ReLU(), outputs=24),
    "grouped transposed": lambda: around(nn.ConvTranspose2d(16, 24, 3, padding=1, groups=4), nn.ReLU(), outputs=24),
    "depthwise transposed": lambda: around(nn.ConvTranspose2d(16, 16, 3, padding=1, groups=16), nn.ReLU()),
    "circular": lambda: around(conv(16, 16, padding_mode="circular"), nn.ReLU()),
    "one dimension": lambda: around(Apply(lambda x: x.flatten(2)), nn.Conv1d(16, 16, 3, padding=1), nn.BatchNorm1d(16),
                                    Apply(lambda x: x.unflatten(2, (8, 8)).relu())),
    "three dimensions": lambda: around(Apply(lambda x: x.unsqueeze(2)), nn.Conv3d(16, 16, 3, padding=1), nn.ReLU(),
                                       Apply(lambda x: x.squeeze(2))),
    "residual": lambda: around(residual(), residual()),
    "residual with norms": lambda: around(residual(lambda: nn.BatchNorm2d(24)), residual(lambda: nn.BatchNorm2d(24))),
    "concatenated": inception,
    "u-net": unet,
    "pyramid": pyramid,
    "product": lambda: around(Join(torch.mul, conv(16, 16), conv(16, 16))),
    "quotient": lambda: around(Join(lambda x, y: x / (y.square() + 1), conv(16, 16), conv(16, 16))),
    "plain quotient": lambda: around(Join(lambda x, y: x / y, conv(16, 16), conv(16, 16))),
    "stacked": lambda: around(Join(lambda *parts: torch.stack(parts, 1).sum(1), conv(16, 16), conv(16, 16))),
    "stacked and flattened": lambda: around(Join(lambda *parts: torch.stack(parts, 2).flatten(1, 2), conv(16, 16),
                                                 conv(16, 16)), outputs=32),
    "excited": lambda: around(Excited(16, nn.Sigmoid())),
    "excited hard": lambda: around(Excited(16, nn.Hardsigmoid())),
    "excited by softmax": lambda: around(Excited(16, nn.Softmax(1))),
    "called twice": lambda: around(Twice(conv(16, 16))),
    "tied": lambda: around(Tied(conv(16, 16), conv(16, 16), nn.ReLU())),
    "scaled": lambda: around(Held(lambda x, scale: x * scale, torch.rand(1, 16, 1, 1) + 0.5)),
    "shifted": lambda: around(Held(lambda x, shift: x + shift, torch.rand(1, 16, 1, 1) + 0.5)),
    "scaled by a buffer": lambda: around(Held(lambda x, scale: x * scale, buffers=(torch.rand(1, 16, 1, 1),))),
    "own weights": lambda: around(Held(lambda x, w: F.conv2d(x, w, padding=1), 0.1 * torch.randn(16, 16, 3, 3))),
    "shifted by one": moved(lambda x: x + 1),
    "auxiliary": Auxiliary,
    "attention": multihead,
    "transformer": attended,
    "own attention": Tokens,
    "own attention, one head": lambda: Tokens(1, scale=False),
    "mixer": mixer,
    "lstm": lambda: Recurrent(nn.LSTM),
    "lstm both ways": lambda: Recurrent(nn.LSTM, bidirectional=True, num_layers=2),
    "gru": lambda: Recurrent(nn.GRU),
    "projected lstm": lambda: Recurrent(nn.LSTM, proj_size=6),
}  # fmt: skip

NORMS: dict[str, Callable[[], nn.Module]] = {
    "batch": normed(lambda: nn.BatchNorm2d(16)),
    "batch without scale": normed(lambda: nn.BatchNorm2d(16, affine=False)),
    "batch without statistics": normed(lambda: nn.BatchNorm2d(16, track_running_stats=False)),
    "group": normed(lambda: nn.GroupNorm(4, 16)),
    "group of one": normed(lambda: nn.GroupNorm(16, 16)),
    "one group": normed(lambda: nn.GroupNorm(1, 16)),
    "instance": normed(lambda: nn.InstanceNorm2d(16)),
    "instance with scale": normed(lambda: nn.InstanceNorm2d(16, affine=True)),
    "instance with statistics": normed(lambda: nn.InstanceNorm2d(16, affine=True, track_running_stats=True)),
    "layer": normed(lambda: nn.LayerNorm((16, 8, 8))),
    "layer of channels": normed(lambda: last(nn.LayerNorm(16))),
    "layer of places": normed(lambda: nn.LayerNorm((8, 8))),
    "root mean square": normed(lambda: last(nn.RMSNorm(16))),
    "response": normed(lambda: nn.LocalResponseNorm(5)),
    "cosine": normed(lambda: Apply(lambda x: F.normalize(x, dim=1))),
    "before the layer": lambda: around(nn.BatchNorm2d(16), nn.ReLU(), conv(16, 16), nn.GroupNorm(2, 16), nn.ReLU()),
    "weights": lambda: around(parametrizations.weight_norm(conv(16, 16)), nn.ReLU()),
    "spectral": lambda: around(parametrizations.spectral_norm(conv(16, 16)), nn.ReLU()),
}

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    kind.__name__: lambda kind=kind: around(conv(16, 16), kind())  # type: ignore[misc]
    for kind in (
        nn.Sigmoid, nn.Softplus, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.ELU, nn.SELU, nn.Mish, nn.SiLU, nn.GELU,
        nn.Softsign, nn.ReLU6, nn.LeakyReLU, nn.Softmax2d, nn.LogSigmoid, nn.PReLU, nn.Dropout2d, nn.Hardshrink,
    )
} | {
    "PReLU of channels": lambda: around(conv(16, 16), nn.PReLU(16)),
    "cosine": moved(torch.cos),
    "exponential": moved(torch.exp),
    "threshold": moved(lambda x: F.threshold(x, 0.1, 0.2)),
}  # fmt: skip

TABLES: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: dense(nn.ReLU()),
    "sigmoid": lambda: dense(nn.Sigmoid()),
    "batch norm": lambda: dense(nn.BatchNorm1d(32), nn.ReLU()),
    "layer norm": lambda: dense(nn.LayerNorm(32), nn.ReLU()),
    "halves": lambda: dense(Apply(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)), nn.ReLU()),
    "reshaped": lambda: dense(Apply(lambda x: x.view(-1, 4, 8).transpose(1, 2).flatten(1)), nn.ReLU()),
    "tied linear": lambda: dense(Tied(nn.Linear(32, 32), nn.Linear(32, 32), nn.ReLU()), nn.ReLU()),
    "tied transposed": lambda: dense(Held(lambda x, w: (x @ w).relu() @ w.T, torch.randn(32, 16)), nn.ReLU()),
    "embedded": lambda: nn.Sequential(Apply(lambda x: x.long()), nn.Embedding(4, 8), nn.Flatten(), nn.Linear(96, 32),
                                      nn.ReLU(), nn.Linear(32, 10)),
    "skip": lambda: dense(Join(torch.add, nn.Identity(), nn.Sequential(nn.Linear(32, 32), nn.ReLU()))),
    "bilinear": lambda: dense(Join(nn.Bilinear(32, 32, 32), nn.Identity(), nn.Linear(32, 32)), nn.ReLU()),
}  # fmt: skip

ZOO: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    f"{kind}: {name}": (make, FEATURES if kind == "tables" else IMAGE)
    for kind, networks in (
        ("moved", MOVED), ("mixed", MIXED), ("norm", NORMS), ("activation", ACTIVATIONS), ("tables", TABLES),
    )
    for name, make in networks.items()
}  # fmt: skip


def made(name: str, seed: int = 0) -> tuple[nn.Module, Shape]:
    """The network of that name with random weights, biases and statistics, and the shape of its inputs."""
    torch.manual_seed(seed)
    make, shape = ZOO[name]
    model = make()
    with torch.no_grad():
        model.eval()(torch.zeros(2, *shape))  # lazy layers
        randomize(model)
    return model, shape


def randomize(model: nn.Module) -> None:
    """Weights and statistics such as training leaves."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm | nn.RMSNorm):
            for parameter in module.parameters(recurse=False):
                nn.init.uniform_(parameter, 0.5, 1.5)
        if getattr(module, "running_mean", None) is not None:
            nn.init.normal_(module.get_buffer("running_mean"), 0, 0.1)
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 1.5)
