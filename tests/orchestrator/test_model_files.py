"""Files of models, in a folder and in a real S3 server's bucket, checked against their cards."""

import pytest

from orchestrator import model_files
from orchestrator.model_files import fault_of_model, upload_models
from trainables.compress import write_card
from trainables.storage import delete_file, join, read_bytes, write_bytes

NAMES = ["model.onnx", "model.pt2", "weights.safetensors"]


@pytest.fixture(params=["path", "s3"])
def models(request, tmp_path):
    return tmp_path / "models" if request.param == "path" else request.getfixturevalue("s3_folder")


@pytest.fixture
def made(tmp_path):
    """A model's folder inside another."""
    for name in NAMES:
        write_bytes(tmp_path / "made" / "0001" / name, name.encode() * 100)
    facts = {"input": {}, "output": {}}
    folder = tmp_path / "made" / "0001"
    write_card(folder / "card.json", facts, [folder / name for name in NAMES])
    return tmp_path / "made"


@pytest.mark.parametrize("name", [*NAMES, "card.json"])
def test_each_file_that_is_missing_or_damaged_is_found(made, models, name):
    upload_models(made, models)
    place = join(models, "0001", name)
    whole = read_bytes(place)
    assert fault_of_model(join(models, "0001")) == ""
    write_bytes(place, b"\0" + whole[1:])
    assert name in fault_of_model(join(models, "0001"))
    delete_file(place)
    assert name in fault_of_model(join(models, "0001"))


def test_the_card_is_the_last_file_that_is_written(made, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(model_files, "write_bytes", lambda place, data: written.append(place.name))
    upload_models(made, tmp_path / "models")
    assert sorted(written[:-1]) == NAMES
    assert written[-1] == "card.json"
