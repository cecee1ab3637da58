"""The same operations on a folder and on a real S3 server's bucket."""

import random
from pathlib import Path

import pytest
import torch

from trainables import CheckpointError, load_checkpoint, save_checkpoint
from trainables.checkpoint import DamagedCheckpoint, load_last, replace_checkpoint
from trainables.storage import (
    StorageError,
    delete_file,
    delete_tree,
    download_tree,
    exists,
    join,
    list_files,
    local_path,
    modified,
    read_bytes,
    write_bytes,
)


@pytest.fixture(params=["path", "text", "uri", "s3"])
def folder(request, tmp_path):
    places = {"path": tmp_path / "a b", "text": f"{tmp_path}/a b", "uri": f"{tmp_path.as_uri()}/a%20b"}
    return places[request.param] if request.param in places else request.getfixturevalue("s3_folder")


def test_what_is_written_is_read(folder):
    place = join(folder, "deep", "file")
    assert not exists(place)
    for data in (b"one", b"", bytes(range(256)) * 1000):
        write_bytes(place, data)
        assert read_bytes(place) == data
        assert exists(place)
    assert list_files(folder) == ["deep/file"]


def test_what_is_not_there_is_not_found(folder):
    with pytest.raises(FileNotFoundError):
        read_bytes(join(folder, "none"))
    assert list_files(folder) == []
    delete_file(join(folder, "none"))
    delete_tree(folder)


def test_lists_files_at_any_depth_in_order(folder):
    names = ["b", "a/2", "a/1/x", "c.txt"]
    for name in names:
        write_bytes(join(folder, name), b"")
    assert list_files(folder) == sorted(names)
    assert list_files(join(folder, "a")) == ["1/x", "2"]
    times = modified(folder)
    assert times.keys() == set(names)
    assert max(times.values()) - min(times.values()) < 600
    assert not exists(join(folder, "a"))


def test_deletes_what_it_is_told(folder):
    for name in ("a/1", "a/2", "b", "lock/x", "lock/y"):
        write_bytes(join(folder, name), b"")
    delete_file(join(folder, "a", "1"))
    assert list_files(folder) == ["a/2", "b", "lock/x", "lock/y"]
    delete_tree(folder, keep=["lock"])
    assert list_files(folder) == ["lock/x", "lock/y"]
    delete_tree(folder)
    assert list_files(folder) == []


@pytest.mark.parametrize("keep", [[], ["lock"]])
@pytest.mark.parametrize("inside", ["", "deep"])
@pytest.mark.parametrize("target", ["folder", "file", "nothing"])
def test_deletes_links_and_leaves_alone_what_they_lead_to(tmp_path, keep, inside, target):
    write_bytes(tmp_path / "other" / "file", b"kept")
    to = {"folder": tmp_path / "other", "file": tmp_path / "other" / "file", "nothing": tmp_path / "none"}[target]
    write_bytes(tmp_path / "run" / "lock", b"")
    write_bytes(tmp_path / "run" / inside / "mine", b"")
    (tmp_path / "run" / inside / "link").symlink_to(to)
    delete_tree(tmp_path / "run", keep=keep)
    assert list_files(tmp_path) == ["other/file", *(f"run/{name}" for name in keep)]
    assert not (tmp_path / "run" / inside / "link").is_symlink()


def test_deletes_a_folder_that_is_a_link_as_a_link(tmp_path):
    write_bytes(tmp_path / "other" / "file", b"kept")
    (tmp_path / "run").symlink_to("other")
    delete_tree(tmp_path / "run")
    assert list_files(tmp_path) == ["other/file"]
    assert not (tmp_path / "run").is_symlink()


def test_a_tree_is_copied_to_a_folder(folder, tmp_path):
    files = {"model.onnx": b"1", "0001/card.json": b"{}"}
    for name, data in files.items():
        write_bytes(join(folder, "models", name), data)
    download_tree(join(folder, "models"), tmp_path / "back")
    assert {name: (tmp_path / "back" / name).read_bytes() for name in list_files(tmp_path / "back")} == files


def test_a_checkpoint_is_saved_and_loaded(folder):
    path = join(folder, "0001", "last.pt")
    with pytest.raises(FileNotFoundError):
        load_checkpoint(path)
    for epoch in range(2):
        save_checkpoint(path, {"epoch": epoch})
        assert load_checkpoint(path) == {"epoch": epoch}
    assert list_files(folder) == ["0001/last.pt"]


def test_the_checkpoint_before_stays_until_another_follows(folder):
    path = join(folder, "0001", "last.pt")
    assert load_last(path) == (None, "")
    for epoch in range(3):
        replace_checkpoint(path, {"epoch": epoch})
        assert load_last(path) == ({"epoch": epoch}, "")
    assert list_files(folder) == ["0001/last.pt", "0001/previous.pt"]
    write_bytes(path, read_bytes(path)[:-100])
    saved, note = load_last(path)
    assert saved == {"epoch": 1}
    assert "last.pt" in note
    assert "is not a whole checkpoint" in note
    assert note.endswith("previous.pt is used")
    delete_file(path)
    assert load_last(path)[0] == {"epoch": 1}
    assert "is missing" in load_last(path)[1]
    write_bytes(path, b"damaged")
    write_bytes(join(folder, "0001", "previous.pt"), b"damaged, too")
    with pytest.raises(DamagedCheckpoint):
        load_last(path)


def test_no_flipped_bit_of_a_checkpoint_gives_other_values(tmp_path):
    state = {"epoch": 3, "name": "a", "weights": torch.arange(50_000.0), "few": torch.ones(3)}
    path = tmp_path / "last.pt"
    save_checkpoint(path, state)
    whole, places = path.read_bytes(), random.Random(0)
    ends = [*range(200), *range(len(whole) - 1500, len(whole), 2)]
    for place in [*(places.randrange(len(whole)) for _ in range(200)), *ends]:
        harmed = bytearray(whole)
        harmed[place] ^= 1 << places.randrange(8)
        path.write_bytes(harmed)
        try:
            found = load_checkpoint(path)
        except CheckpointError:
            continue
        assert (found["epoch"], found["name"]) == (3, "a")
        assert torch.equal(found["weights"], state["weights"])
        assert torch.equal(found["few"], state["few"])


def test_joins_names_to_a_uri_before_its_options():
    assert join("s3://bucket/runs?region=x", "digits", "journal") == "s3://bucket/runs/digits/journal?region=x"
    assert join("s3://bucket", "digits") == "s3://bucket/digits"
    assert join("runs", "digits") == Path("runs/digits")
    assert local_path("s3://bucket/runs") is None


def test_a_uri_that_nobody_knows_is_named():
    with pytest.raises(StorageError, match="s4://bucket: must be a path or a URI that pyarrow"):
        read_bytes("s4://bucket/file")


def test_a_password_in_a_uri_is_refused_and_not_shown():
    with pytest.raises(StorageError, match="must not hold a password") as error:
        read_bytes("s3://name:hidden@bucket/file")
    assert "hidden" not in str(error.value)


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    write_bytes(tmp_path / "file", b"old")
    with pytest.raises(TypeError):
        write_bytes(tmp_path / "file", "text")
    assert list_files(tmp_path) == ["file"]
    assert read_bytes(tmp_path / "file") == b"old"
