"""Bounds pick a model from the table of models, or say which comes closest."""

import math

import pandas as pd
import pytest

from orchestrator.analysis import beside_controls, front
from orchestrator.picking import pick


def table(*rows):
    """Rows of (id, kind, accuracy on validation, milliseconds, bytes)."""
    frame = pd.DataFrame(rows, columns=["id", "kind", "val_accuracy", "latency_1_median_ms", "bytes"])
    return frame.assign(status="ok", val_r2=math.nan)


MODELS = table(
    ("a-dense", "dense", 0.95, 4.0, 900),
    ("b-dense", "dense", 0.94, 3.0, 700),
    ("a-half", "pruned", 0.948, 2.0, 400),
    ("a-quarter", "pruned", 0.94, 1.0, 200),
    ("a-quarter-int8", "int8", 0.936, 0.5, 90),
    ("slow", "pruned", 0.90, 3.5, 100),
)


@pytest.mark.parametrize(
    ("bounds", "model"),
    [
        ({"max_accuracy_drop": 0.5}, "a-half"),
        ({"max_accuracy_drop": 1.0}, "a-quarter"),
        ({"max_accuracy_drop": 1.5}, "a-quarter-int8"),
        ({"max_accuracy_drop": 0.0}, "a-dense"),
        ({"max_latency_ms": 2.5}, "a-half"),
        ({"max_latency_ms": 0.5}, "a-quarter-int8"),
        ({"max_bytes": 250}, "a-quarter"),
        ({"max_accuracy_drop": 1.2, "max_latency_ms": 1.0}, "a-quarter"),
    ],
)
def test_the_model_that_meets_the_bounds_best_is_picked(bounds, model):
    """The fastest where accuracy is bounded, else the most accurate; drops are from the best parent."""
    picked = pick(MODELS, bounds)
    assert (picked.model, picked.meets) == (model, True)
    assert f"picked {model}" in picked.told(bounds)


def test_where_none_meets_them_the_closest_is_named():
    bounds = {"max_accuracy_drop": 0.1, "max_latency_ms": 1.9}
    picked = pick(MODELS, bounds)
    assert (picked.model, picked.meets) == ("a-half", False)
    assert picked.drop == pytest.approx(0.2)
    assert "no model meets this; the closest is a-half" in picked.told(bounds)


def test_rejected_models_and_those_that_were_not_timed_are_not_picked():
    models = MODELS.assign(status=["ok", "ok", "rejected", "ok", "ok", "ok"])
    models.loc[3, "latency_1_median_ms"] = math.nan
    assert pick(models, {"max_accuracy_drop": 1.0}).model == "b-dense"
    assert pick(models.drop(columns="latency_1_median_ms"), {"max_accuracy_drop": 1.0}) is None
    assert pick(MODELS, {}) is None


def test_without_an_accepted_model_that_was_timed_there_is_no_front_and_no_pick():
    untimed = MODELS.drop(columns="latency_1_median_ms")
    rejected = {"status": "rejected", "val_accuracy": None}
    for models in (untimed, untimed.assign(**rejected), MODELS.assign(**rejected)):
        assert front(models).empty
        assert pick(models, {"max_bytes": 250}) is None


def test_values_are_compared_by_their_share_of_variance():
    models = MODELS.assign(val_r2=MODELS["val_accuracy"], val_accuracy=math.nan)
    assert pick(models, {"max_accuracy_drop": 0.5}).model == "a-half"


def test_the_front_has_whom_no_other_beats_in_both():
    assert list(front(MODELS)["id"]) == ["a-quarter-int8", "a-quarter", "a-half", "a-dense"]


def test_students_stand_beside_their_controls():
    rows = {
        "id": ["dense", "one", "one-int8", "two", "lone"],
        "kind": ["dense", "pruned", "int8", "pruned", "pruned"],
        "loss": ["", "kl", "kl", "dkd", "kl"],
        "test_accuracy": [0.9, 0.88, 0.87, 0.85, 0.8],
        "test_r2": math.nan,
        "control_test": [math.nan, 0.87, math.nan, 0.86, math.nan],
    }
    controlled = beside_controls(pd.DataFrame(rows))
    assert list(controlled["model"]) == ["one", "two"]
    assert list(controlled["gain"]) == pytest.approx([1.0, -1.0])
