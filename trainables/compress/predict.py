"""What a model says of a user's files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainables.compress.artefact import Artefact
from trainables.compress.card import ArtefactError
from trainables.compress.inputs import read_inputs

BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """Of one input: the likeliest class with its probability, and those of all classes; or a value."""

    source: str
    label: str | None = None
    probability: float | None = None
    value: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)


def predict(artefact: Artefact, files: Sequence[Path]) -> Iterator[Prediction]:
    """A prediction for each image, or each row of a table or an .npz file. Raises DataError and ArtefactError."""
    for file in files:
        names, inputs = read_inputs(file, artefact.card)
        for start in range(0, len(inputs), BATCH):
            outputs = _outputs(artefact, inputs[start : start + BATCH])
            for name, row in zip(names[start:], outputs, strict=False):
                yield _prediction(name, row, artefact.card["output"]["classes"])


def _outputs(artefact: Artefact, inputs: np.ndarray) -> np.ndarray:
    try:
        return artefact.call(inputs)
    except Exception as error:  # a runtime's own errors have no common base
        raise ArtefactError(f"{artefact.path} cannot be run: {str(error).splitlines()[0]}") from error


def _prediction(source: str, outputs: np.ndarray, classes: Sequence[str]) -> Prediction:
    if not classes:
        return Prediction(source, value=float(outputs[0]))
    odds = np.exp(outputs.astype(np.float64) - outputs.max())
    probabilities = dict(zip(classes, (odds / odds.sum()).tolist(), strict=True))
    label = max(probabilities, key=probabilities.__getitem__)
    return Prediction(source, label, probabilities[label], probabilities=probabilities)
