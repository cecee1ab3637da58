"""A network that can have every kind of parameter and buffer, and ranks that train it on request."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn

from trainables import Dataset, Split, TrainConfig, Trainer, join_group, leave_group

FEATURES, CLASSES, ROWS = 6, 3, 12
INF, NAN, LEAST = float("inf"), float("nan"), torch.finfo(torch.float32).min

CONSTANTS: dict[str, Tensor] = {
    "infinite": torch.full((FEATURES, FEATURES), -INF).triu(1),
    "least": torch.full((5,), LEAST),
    "both infinities": torch.tensor([INF, -INF, 1.0, -0.0]),
    "nan": torch.tensor([NAN, 2.0]),
    "zeros": torch.tensor([-0.0, 0.0, 0.1]),
    "integer": torch.arange(4),
    "short": torch.arange(4, dtype=torch.int16),
    "boolean": torch.tensor([True, False]),
    "complex": torch.tensor([1 + 2j, complex(-INF, 1)]),
    "double": torch.tensor([1 / 3, 1e300], dtype=torch.float64),
    "half": torch.tensor([1 / 3, 6e4], dtype=torch.float16),
    "empty": torch.empty(0),
    "scalar": torch.tensor(1 / 3),
}
"""Buffers that training must leave as they are, bit for bit."""


class Statistics(nn.Module):
    """Statistics of a user's own, which move with what is seen in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("wave", torch.zeros(FEATURES, dtype=torch.complex64))
        self.register_buffer("unsaved", torch.full((2,), 0.5), persistent=False)
        self.register_buffer("replaced", torch.zeros(FEATURES))
        self.register_buffer("large", torch.full((2,), 3e38))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.codes = nn.Parameter(torch.ones(FEATURES), requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                seen, share = rows.mean(0), 1 / (1 + self.calls)
                self.mean.lerp_(seen, share)
                self.wave.lerp_(seen * (1 + 2j), share)
                self.unsaved.lerp_(seen[:2], share)
                self.replaced = torch.lerp(self.replaced, seen, share)
                self.large.mul_(0.999)
                self.codes.lerp_(seen, share)
                self.calls += 1
        return rows


class Mixed(nn.Module):
    """Of the parts that are named: "statistics", names of CONSTANTS, and those below."""

    def __init__(self, parts: list[str]) -> None:
        super().__init__()
        self.parts = parts
        self.seen: list[tuple[Tensor, Tensor]] = []  # in training: rows, and a mask of dropout that changes nothing
        self.first, self.last = nn.Linear(FEATURES, 8), nn.Linear(8, CLASSES)
        for number, name in enumerate(name for name in parts if name in CONSTANTS):
            self.register_buffer(f"constant_{number}", CONSTANTS[name].clone(), persistent=number % 3 != 2)
        makers: dict[str, Any] = {
            "statistics": Statistics,
            "unused": lambda: nn.Linear(3, 3),
            "frozen": lambda: nn.Linear(FEATURES, FEATURES).requires_grad_(False),
            "rare": lambda: nn.Linear(FEATURES, 8),
            "masked": lambda: Masked(),
            "complex weight": Wave,
            "norm": lambda: nn.LayerNorm((2, 4)),
            "scale": Scale,
            "embedding": lambda: nn.Embedding(4, 8, sparse=True),
            "double weight": lambda: nn.Linear(FEATURES, 8).double(),
        }
        self.own = nn.ModuleDict({name: make() for name, make in makers.items() if name in parts})
        if "tied" in parts:
            self.one, self.other = nn.Linear(8, 8), nn.Linear(8, 8)
            self.other.weight = self.one.weight

    def forward(self, rows: Tensor) -> Tensor:
        own: Any = self.own
        if self.training:
            self.seen.append((rows.clone(), nn.functional.dropout(torch.ones(64))))
        if "statistics" in own:
            rows = own["statistics"](rows)
        inputs = rows
        if "frozen" in own:
            rows = rows + own["frozen"](rows)
        if "masked" in own:
            rows = rows + own["masked"](rows)
        hidden = self.first(rows)
        if "rare" in own and (chosen := inputs[:, 0] > 0).any():  # on one of several ranks only
            hidden = hidden + torch.where(chosen.unsqueeze(1), own["rare"](inputs), 0.0)
        if "complex weight" in own:
            hidden = hidden + own["complex weight"](inputs)
        if "norm" in own:
            hidden = own["norm"](hidden.view(-1, 2, 4)).flatten(1)
        if "scale" in own:
            hidden = own["scale"](hidden)
        if "embedding" in own:
            hidden = hidden + own["embedding"]((inputs[:, 1] > 0).long())
        if "double weight" in own:
            hidden = hidden + own["double weight"](inputs.double()).float()
        if "tied" in self.parts:
            hidden = self.other(torch.tanh(self.one(hidden)))
        out: Tensor = self.last(torch.tanh(hidden))
        return out


class Masked(nn.Module):
    """Attention over features, each to those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((FEATURES, FEATURES), -INF).triu(1))
        self.scores = nn.Parameter(torch.randn(FEATURES, FEATURES))

    def forward(self, rows: Tensor) -> Tensor:
        return rows @ (self.scores + self.mask).softmax(1).T


class Wave(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(FEATURES, 8, dtype=torch.complex64))

    def forward(self, rows: Tensor) -> Tensor:
        return (rows.to(torch.complex64) @ self.weight).abs()


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.rand(2, 1, 1)), nn.Parameter(torch.randn(2, 2, 2))

    def forward(self, rows: Tensor) -> Tensor:
        return (rows.view(-1, 2, 2, 2) * self.gain + self.bias).flatten(1)


OPTIONAL = (
    *("statistics", "unused", "frozen", "rare", "masked", "complex weight", "norm", "scale", "embedding"),
    *("double weight", "tied"),
)
DECAYING = ("first.weight", "last.weight", "one.weight", "scores", "complex weight.weight", "own.rare.weight")
DECAYING += ("own.embedding.weight", "own.double weight.weight", "own.unused.weight")
"""How the names of the parameters end to which weight decay applies."""


def made(parts: list[str]) -> Mixed:
    torch.manual_seed(5)
    return Mixed(parts)


def data() -> Dataset:
    """In one row alone the first feature is positive."""
    generator = torch.Generator().manual_seed(2)
    inputs, labels = torch.randn(ROWS, FEATURES, generator=generator), torch.arange(ROWS) % CLASSES
    inputs[:, 0] = -inputs[:, 0].abs() - 0.1
    inputs[7, 0] = 1.0
    held_out = Split(inputs[:7] + 0.1, labels[:7])  # seven rows, which no number of ranks divides
    names = tuple(map(str, range(CLASSES)))
    return Dataset(Split(inputs, labels), held_out, held_out, names, torch.zeros(FEATURES), torch.ones(FEATURES))


def trained(config: dict[str, Any], parts: list[str], group: Any = None) -> dict[str, Any]:
    """Metrics of all epochs; parameters and buffers after them, live and averaged, and the best; the gradients; what
    each step saw."""
    model = made(parts)
    if group and group.rank:  # what the first rank has is to be on all of them
        with torch.no_grad():
            for value in (*model.parameters(), *model.buffers()):
                value.zero_()
    trainer = Trainer(TrainConfig.of(config), data(), model=model, **({"group": group} if group else {}))
    metrics = []
    live: dict[str, Tensor] = {}
    for epoch in trainer.epochs():
        metrics.append((epoch.train_loss, epoch.val_loss, epoch.val_accuracy))
        live = tensors(trainer.model)
    gradients = {name: one.grad for name, one in trainer.model.named_parameters()}
    with trainer.average.applied():
        averaged = tensors(trainer.model)
    best = tensors(trainer.model)
    seen: Any = trainer.model.seen
    states = {"live": live, "averaged": averaged, "best": best}
    return {"metrics": metrics, **states, "gradients": gradients, "seen": seen}


def tensors(model: nn.Module) -> dict[str, Tensor]:
    held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value.detach().clone() for name, value in held.items()}


def serve(rank: int, requests: Connection) -> None:
    """One rank of any group: trains whatever is asked for, until None is."""
    torch.set_num_threads(1)
    while (asked := requests.recv()) is not None:
        size, address, config, parts = asked
        try:
            requests.send(trained(config, parts, join_group(rank, size, address, torch.device("cpu"))))
        except Exception as error:
            requests.send(repr(error))
        finally:
            leave_group()
