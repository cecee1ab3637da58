"""Pruning as users of torch-pruning write it: magnitudes over the whole network, then plain cross-entropy training."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch_pruning as tp
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from trainables import Augment, Dataset, Draws, TrainConfig, as_floats, evaluate
from trainables.compress import Parent, StudentConfig, cost, export_onnx

PARTS = 400
"""Of the whole network's channels one leaves at a time, as in the examples that torch-pruning comes with."""
OF_TEACHERS = {"loss", "temperature", "distil_weight", "teachers"}
"""The settings of a student that a peer has no use for."""


@dataclass(frozen=True)
class Outcome:
    """The pruned network after its training, and the minutes of both."""

    macs: int
    parameters: int
    val_accuracy: float
    test_accuracy: float
    minutes: float


def made(parent: Parent, data: Dataset, student: StudentConfig, folder: Path) -> tuple[Outcome, Path]:
    """The peer of such a student and its ONNX file; those in the folder, or else new ones, which are kept then."""
    settings = student.model_dump(mode="json", exclude=OF_TEACHERS)
    facts = {"parent": parent.train.model_dump(mode="json"), "student": settings}
    kept, file = (folder / f"peer-{parent.train.seed}.{ending}" for ending in ("json", "onnx"))
    if kept.exists() and (before := json.loads(kept.read_text()))["facts"] == facts:
        return Outcome(**before["outcome"]), file
    started = time.perf_counter()
    assert student.keep_macs is not None
    model = pruned(parent.model, data.input_shape, student.keep_macs)
    tune(model, data, parent.train, student)
    outcome = _outcome(model, data, (time.perf_counter() - started) / 60)
    export_onnx(model, data.input_shape, file)
    kept.write_text(json.dumps({"facts": facts, "outcome": asdict(outcome)}))
    return outcome, file


def pruned(model: nn.Module, input_shape: Sequence[int], keep: float) -> nn.Module:
    """A copy with at most the fraction `keep` of the operations; the layer that gives the outputs keeps them."""
    model, example = copy.deepcopy(model), torch.zeros(1, *input_shape)
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    pruner = tp.pruner.MagnitudePruner(
        model,
        example,
        importance=tp.importance.GroupMagnitudeImportance(),
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=PARTS,
        ignored_layers=[last],
    )
    most = keep * cost(model, input_shape).macs
    while cost(model, input_shape).macs > most:
        pruner.step()
    return model


def tune(model: nn.Module, data: Dataset, train: TrainConfig, student: StudentConfig) -> None:
    """Trains as long as the student, by the same rate, changes of the pictures and targets, without a teacher."""
    torch.manual_seed(train.seed)
    generator = torch.Generator().manual_seed(train.seed)
    augment = Augment(student.augment or train.augment, data.input_shape)
    inputs, targets = data.train.inputs, data.train.targets
    criterion = nn.CrossEntropyLoss(label_smoothing=train.label_smoothing)
    decay = train.optimizer.weight_decay if student.weight_decay is None else student.weight_decay
    optimizer = SGD(model.parameters(), student.lr, momentum=0.9, nesterov=True, weight_decay=decay, fused=True)
    size = student.batch_size or train.batch_size
    schedule = CosineAnnealingLR(optimizer, student.epochs * -(-len(targets) // size))
    model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    for epoch in range(1, student.epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(targets)).split(size):
            images = augment.apply(as_floats(inputs[rows]), Draws.of(len(rows), generator))
            loss = criterion(model(images.to(memory_format=torch.channels_last)), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        print(f"peer, seed {train.seed}, epoch {epoch}: loss {total / len(targets):.4f}", flush=True)


def _outcome(model: nn.Module, data: Dataset, minutes: float) -> Outcome:
    size, validation, test = cost(model, data.input_shape), evaluate(model, data.validation), evaluate(model, data.test)
    assert validation.accuracy is not None
    assert test.accuracy is not None
    return Outcome(size.macs, size.parameters, validation.accuracy, test.accuracy, minutes)
