"""What is known of a model that compression has made: one row of the table of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainables.compress.plan import Kind


@dataclass(frozen=True, kw_only=True)
class CompressedModel:
    """The scores and the parity are those of the ONNX file at `path`, and so are the bytes.

    A model that fails its checks is "rejected" and says why in `reason`. What was not reached is None: a model
    that could not be made at all has no file and no scores. Classifiers are scored by accuracy, a fraction; models of
    values by R², the share of the targets' variance that they explain. The other kind's two columns are None.
    """

    id: str
    parent: str
    """The trial that it comes from."""
    kind: Kind | Literal["dense", "int8"]
    status: Literal["ok", "rejected"]
    reason: str = ""
    source: str = ""
    """Of an int8 model, the id of the one that was quantised."""
    student: str = ""
    """Which student of its parent it is."""
    keep_macs: float | None = None
    """The fraction of the parent's cost that was asked for; `macs` is what is left."""
    sparsity: float = 0.0
    loss: str = ""
    """What the student learnt by."""
    kept: str = ""
    """Layers that pruning left as wide as they were, since they cannot be pruned exactly, and why; of an int8 model
    also those left in floats."""
    macs: int | None = None
    parameters: int | None = None
    bytes: int | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    val_r2: float | None = None
    test_r2: float | None = None
    control_val: float | None = None
    """The score of the same student trained for as long without a teacher, and the one on test examples."""
    control_test: float | None = None
    parity_max_abs_error: float | None = None
    parity_agreement: float | None = None
    path: str | None = None
    seconds: float = 0.0
    """What making it took: a student's epochs, writing and checking the files."""
