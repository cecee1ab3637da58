"""A card vouches for the files beside it, and says what is wrong with them."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date
from pathlib import Path

import pytest
import torch

from trainables.compress import ArtefactError, check_file, read_card, write_card
from trainables.compress.card import in_json


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"content")
    write_card(tmp_path / "card.json", {"id": "one", "input": {}, "output": {}}, [path])
    return path


def test_the_card_holds_facts_versions_and_checksums(file: Path) -> None:
    card = read_card(file.parent)
    assert card["id"] == "one"
    assert card["versions"]["torch"] == torch.__version__
    assert card["files"] == {"model.onnx": {"sha256": hashlib.sha256(b"content").hexdigest(), "bytes": 7}}
    check_file(file, card)


@pytest.mark.parametrize("figure", [float("nan"), object()])
def test_a_card_that_is_no_json_leaves_nothing(tmp_path: Path, figure: object) -> None:
    with pytest.raises((TypeError, ValueError), match="JSON"):
        write_card(tmp_path / "card.json", {"loss": figure}, [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_another_is_found_out(file: Path) -> None:
    card = read_card(file.parent)
    with pytest.raises(ArtefactError, match=r"other.onnx must be a file of which its card tells \(model.onnx\)"):
        check_file(file.with_name("other.onnx"), card)
    file.write_bytes(b"Content")
    with pytest.raises(ArtefactError, match="is damaged or has been replaced"):
        check_file(file, card)
    file.unlink()
    with pytest.raises(ArtefactError, match="must be there"):
        check_file(file, card)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "must be a model's card in JSON"),
        ("[]", "of version 1, but its version is None"),
        (json.dumps({"version": 99}), "of version 1, but its version is 99"),
        (json.dumps({"version": 1, "input": {}}), "must have the section 'output'"),
        (None, "there is no such file"),
    ],
)
def test_a_card_that_cannot_be_used_says_why(content: str | None, fault: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "card.json").write_text(content)
    with pytest.raises(ArtefactError, match=fault) as caught:
        read_card(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "card.json"))


def test_settings_have_text_for_what_json_lacks() -> None:
    settings = {"model": {"clip": math.inf, "sizes": (1, 2), 0: date(2020, 1, 31)}, "lr": 0.1}
    assert in_json(settings) == {"model": {"clip": "inf", "sizes": [1, 2], "0": "2020-01-31"}, "lr": 0.1}
