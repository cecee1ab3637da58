"""Predictions of a delivered model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainables.compress.artefact import Artefact, open_artefact
from trainables.compress.card import ArtefactError
from trainables.compress.inputs import Given, Named, all_inputs

BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """Of one input: the likeliest class with its probability, and those of all classes; or a value."""

    source: str
    label: str | None = None
    probability: float | None = None
    value: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Model(Artefact):
    """A delivered model, loaded: `predict` is all that most callers need."""

    def predict(self, inputs: Given) -> list[Prediction]:
        """A prediction for each input, as `halving predict` prints them.

        inputs: paths of files (images, tables, .npz) or one path; an array or tensor (N, …), pictures from 0 to 1 or in
        uint8; a DataFrame or a mapping of columns. Raises TypeError, DataError and ArtefactError.
        """
        return list(predict(self, inputs))


def open_model(path: str | os.PathLike[str]) -> Model:
    """Load the model in a folder, its `model.onnx`, or one of its .onnx and .pt2 files, once its checksum is verified.

    Raises TypeError and ArtefactError.
    """
    try:
        place = Path(path)
    except TypeError:
        rule = "path must be the path of a model's folder, or of a file in it"
        raise TypeError(f"{rule}, but is of type {type(path).__name__}") from None
    found = open_artefact(place)
    return Model(found.path, found.card, found.call)


def predict(artefact: Artefact, inputs: Given) -> Iterator[Prediction]:
    """Predictions one by one, as they are made. Raises TypeError at once, and DataError and ArtefactError."""
    _check_opened(artefact)
    return _predictions(artefact, all_inputs(inputs, artefact.card))


def _check_opened(artefact: object) -> None:
    if not isinstance(artefact, Artefact):
        rule = f"artefact must be an opened model, but is of type {type(artefact).__name__}"
        raise TypeError(f"{rule}; use open_model(path).predict(inputs)")


def _predictions(artefact: Artefact, inputs: Iterable[Named]) -> Iterator[Prediction]:
    for names, rows in inputs:
        for start in range(0, len(rows), BATCH):
            outputs = _outputs(artefact, rows[start : start + BATCH])
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
