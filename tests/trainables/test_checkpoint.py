import os
from pathlib import Path

import pytest
import torch

from trainables import CheckpointError, load_checkpoint, save_checkpoint


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "last.pt"
    save_checkpoint(path, {"epoch": 3, "weights": {"a": torch.arange(3.0)}, "best": float("inf")})
    state = load_checkpoint(path)
    assert (state["epoch"], state["best"]) == (3, float("inf"))
    assert torch.equal(state["weights"]["a"], torch.arange(3.0))
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


def test_a_save_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"epoch": lambda: 2})
    assert load_checkpoint(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_whoever_reads_the_old_file_meanwhile_reads_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    with path.open("rb") as reader:
        save_checkpoint(path, {"epoch": 2})
        assert torch.load(reader, weights_only=True) == {"epoch": 1}
    assert load_checkpoint(path) == {"epoch": 2}


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_damaged_file_is_named(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"weights": torch.zeros(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(CheckpointError, match=r"last\.pt is not a whole checkpoint"):
        load_checkpoint(path)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save(torch.zeros(3), path)
    with pytest.raises(CheckpointError, match="is not a checkpoint, but a Tensor"):
        load_checkpoint(path)


class Payload:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"epoch": Payload()}, "last.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "last.pt")
    assert not Path("executed").exists()


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "last.pt")
