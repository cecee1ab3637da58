"""Networks to prune: those that ship, what users bring, and what a dependency graph stumbles over."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables import mlp, resnet

SHAPE = (1, 8, 8)


class Block(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(torch.relu(self.norm(self.spatial(x))))
        return x + mixed


class OwnNetwork(nn.Module):
    """What users bring: residuals, grouped and depthwise convolutions, a concatenation, a flatten into a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1)
        self.side = nn.Conv2d(1, 16, 1)
        self.blocks = nn.Sequential(Block(32, groups=4), Block(32, groups=1), Block(32, groups=32))
        self.pool = nn.AvgPool2d(2)
        self.hidden = nn.Linear((32 + 16) * 16, 64)
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.cat([self.blocks(self.stem(x)), self.side(x)], 1)
        hidden = torch.relu(self.hidden(self.pool(features).flatten(1)))
        return torch.log_softmax(self.out(hidden), 1)


class Gated(nn.Module):
    """Squeeze and excitation, a free scale a channel, and two halves of one convolution that meet again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.scale = nn.Conv2d(1, 32, 3, padding=1), nn.Parameter(torch.ones(1, 32, 1, 1))
        self.squeeze, self.excite = nn.Linear(32, 8), nn.Linear(8, 32)
        self.halves, self.out = nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(32, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) * self.scale
        x = x * torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))[:, :, None, None]
        values, gates = self.halves(x).chunk(2, 1)
        return torch.mean(self.out(values * torch.sigmoid(gates)), (2, 3))


class Attention(nn.Module):
    """The width of attention is bound to its heads, so only the layers between may shrink."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=64, batch_first=True)
        self.out = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.layer(x.squeeze(1)).mean(1))
        return out


def exotic() -> nn.Module:
    """An input-bound first layer, group norm, a transposed convolution and one with two outputs for each input."""
    return nn.Sequential(
        nn.Conv2d(1, 1, 1),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.GroupNorm(4, 32),
        nn.ConvTranspose2d(32, 24, 2, stride=2),
        nn.Conv2d(24, 48, 3, groups=24),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(192, 10),
    )


class FixedWidth(nn.Module):
    """The first layer's width is written into the code, so only the second may shrink."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(64, 32), nn.Linear(16, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        halves = self.first(x.flatten(1)).view(-1, 2, 16).sum(1)
        out: Tensor = self.out(torch.relu(self.second(halves)))
        return out


class Branching(nn.Module):
    """What it computes depends on the values, which no exporter can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(x.flatten(1))
        out: Tensor = self.out(hidden if hidden.sum().item() >= 0 else -hidden)
        return out


def zero_head(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A perceptron whose outputs are all equal before it has learnt anything."""
    layers = mlp(input_shape, outputs, width=32)
    for parameter in list(layers.parameters())[-2:]:
        nn.init.zeros_(parameter)
    return layers


def network(name: str) -> Any:
    torch.manual_seed(0)
    makers: dict[str, Any] = {
        "mlp": lambda: mlp(SHAPE, 10),
        "resnet": lambda: resnet(SHAPE, 10),
        "own": OwnNetwork,
        "fixed": FixedWidth,
        "gated": Gated,
        "attention": Attention,
        "exotic": exotic,
    }
    return makers[name]()
