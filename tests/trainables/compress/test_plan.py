"""A plan can be short, is the same however it is written, and says which of its settings is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from trainables import SettingError
from trainables.compress import CompressPlan, StudentConfig


def test_the_short_form_is_the_long_one() -> None:
    short = CompressPlan.model_validate({"best": 1, "keep_macs": [0.5], "epochs": 3, "loss": "dkd"})
    assert short == CompressPlan(best=1, keep_macs=(0.5,), student=StudentConfig(epochs=3, loss="dkd"))


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        ({}, (0.5, 0.25)),
        ({"keep_macs": [0.3], "student": {"epochs": 2}}, (0.3,)),
        ({"keep_macs": []}, ()),
        ({"student": {"keep_macs": 0.4}}, (0.4,)),
        ({"keep_macs": None, "epochs": 2}, (0.5,)),
        ({"student": {"keep_macs": None, "sparsity": 0.8}}, (None,)),
        ({"architecture": {"name": "mlp", "width": 8}}, (None,)),
    ],
)
def test_there_is_a_student_for_each_size_or_one_as_the_student_says(
    values: dict[str, Any], sizes: tuple[float | None, ...]
) -> None:
    assert tuple(student.keep_macs for student in CompressPlan.model_validate(values).students) == sizes


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"student": {"architecture": {"name": "mlp", "width": 8}, "keep": ["out"]}, "int8": False},
        {"keep_macs": [0.5], "steps": 2, "sparsity": 0.5},
        {"student": {"keep_macs": 0.3, "target": "latency"}},
    ],
)
def test_a_plan_written_out_is_the_same_plan(values: dict[str, Any]) -> None:
    plan = CompressPlan.model_validate(values)
    assert CompressPlan.model_validate(plan.model_dump(mode="json")) == plan


def test_rounds_cut_by_the_same_factor() -> None:
    assert StudentConfig(keep_macs=0.25, steps=2).rounds == (0.5, 0.25)
    assert StudentConfig(keep_macs=None, steps=3).rounds == (1.0,)
    assert StudentConfig(keep_macs=1.0).rounds == (1.0,)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, "epochs"),
    ({"student": {"epochs": 0}}, "student.epochs"),
    ({"epoch": 3}, "epoch"),
    ({"temperature": 0}, "temperature"),
    ({"importance": "random"}, "importance"),
    ({"loss": "mse"}, "loss"),
    ({"sparsity": 1.0}, "sparsity"),
    ({"keep_macs": [1.5]}, "keep_macs.0"),
    ({"keep_macs": [0.5, 0.5]}, "must differ from each other, but got [0.5, 0.5]"),
    ({"student": {"keep_macs": 1.5}}, "student.keep_macs"),
    ({"student": {"epochs": 2}, "lr": 0.1}, "student: must hold all its settings, but lr stands beside it"),
    ({"epochs": 2, "steps": 3}, "steps: must be at most epochs, 2, but got 3"),
    (
        {"student": {"architecture": {"name": "mlp"}, "keep_macs": 0.5}},
        "keep_macs: must be left out where architecture",
    ),
    ({"keep_macs": [0.5], "architecture": {"name": "mlp"}}, "must be left out where student.architecture is given"),
    ({"keep_macs": [], "architecture": {"name": "mlp"}}, "keep_macs: must ask for students where there is their arch"),
    ({"keep_macs": [], "sparsity": 0.8}, "keep_macs: must ask for students where there is their sparsity, but got []"),
]


@pytest.mark.parametrize(("values", "reason"), WRONG)
def test_a_plan_is_checked(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingError, match=f"^{re.escape(reason)}: " if reason.isidentifier() else re.escape(reason)):
        CompressPlan.model_validate(values)
