"""A model's file is data: loading one runs nothing that is hidden in it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainables import mlp
from trainables.compress import ArtefactError, export_pt2, load

SHAPE = (1, 8, 8)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def rewritten(path: Path, target: Path, change: Callable[[str, bytes], bytes], extra: str = "") -> None:
    """A copy of the archive with other contents."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        if extra:
            new.writestr(extra, b"")


def test_hidden_code_is_refused(tmp_path: Path) -> None:
    path, target, touched = tmp_path / "model.pt2", tmp_path / "bad.pt2", tmp_path / "touched"
    export_pt2(mlp(SHAPE, 10, width=8, depth=1), SHAPE, path)
    load(path)
    bomb = pickle.dumps(Bomb(touched))
    rewritten(path, target, lambda name, old: bomb if "sample_inputs" in name else old)
    with pytest.raises(ArtefactError, match="cannot be loaded"):
        load(target)
    rewritten(path, target, lambda _, old: old.replace(b'"use_pickle": false', b'"use_pickle": true'))
    with pytest.raises(ArtefactError, match="is a pickled object"):
        load(target)
    rewritten(path, target, lambda _, old: old, extra="model/data/aotinductor/model/wrapper.so")
    with pytest.raises(ArtefactError, match=r"but holds model/data/aotinductor/model/wrapper.so"):
        load(target)
    assert not touched.exists()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(ArtefactError, match=r"must end in .onnx or .pt2 to be run, but ends in '.pt'"):
        load(tmp_path / "model.pt")
