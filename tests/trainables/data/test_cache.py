"""What is decoded once and shared: when it is made again, and what may go wrong without harm."""

import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables import DataConfig, Dataset, Trainer, load_data
from trainables.config import TrainConfig
from trainables.data import DataWarning
from trainables.data.cache import private_folder

LOAD = """
import sys
from trainables import DataConfig, load_data
data = load_data(DataConfig(name=sys.argv[1], path=sys.argv[2] or None))
print(float(data.train.inputs.double().sum()), *{"sklearn", "pandas", "PIL"} & set(sys.modules))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HALVING_CACHE", str(root))
    return root


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write(tmp_path / "data.npz", 0)


def write(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    np.savez(path, x=rng.integers(0, 256, (60, 4, 4), dtype=np.uint8), y=np.arange(60) % 3)
    return path


def load(archive: Path, **settings: float) -> Dataset:
    return load_data(DataConfig(name="npz", path=str(archive), **settings))


def files() -> list[Path]:
    return sorted(private_folder().glob("*.safetensors"))


def same(one: Dataset, other: Dataset) -> bool:
    return all(
        torch.equal(getattr(one, part).inputs, getattr(other, part).inputs)
        and torch.equal(getattr(one, part).targets, getattr(other, part).targets)
        for part in ("train", "validation", "test")
    )


def is_mapped(tensor: torch.Tensor, file: Path) -> bool:
    """Whether the tensor's memory is pages of the file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(side, 16) for side in line.split()[0].split("-"))
        if begin <= tensor.data_ptr() < end:
            return line.endswith(str(file))
    return False


def run(name: str, path: str = "") -> list[str]:
    command = [sys.executable, "-c", LOAD, name, path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell what is mapped")
def test_training_uses_the_file_s_own_pages(archive: Path) -> None:
    data = load(archive)
    (file,) = files()
    trainer = Trainer(TrainConfig.of({"model": {"name": "mlp"}, "epochs": 1}), data)
    for tensor in (data.train.inputs, data.train.targets, trainer.validation.split.inputs):
        assert is_mapped(tensor, file)


def test_all_of_a_dataset_is_kept(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = load(archive), load(archive)
    monkeypatch.setenv("HALVING_CACHE", "/dev/null")
    with pytest.warns(DataWarning):
        plain = load(archive)
    for kept in (first, second):
        assert same(kept, plain)
        assert (kept.classes, kept.columns, kept.warnings) == (plain.classes, plain.columns, plain.warnings)
        for name in ("mean", "std", "target_mean", "target_std"):
            assert torch.equal(getattr(kept, name), getattr(plain, name))


def test_writing_into_a_tensor_changes_nobody_else_s(archive: Path) -> None:
    data = load(archive)
    data.train.inputs.zero_()
    assert load(archive).train.inputs.any()


def test_a_process_that_finds_it_imports_none_of_what_decodes(cache: Path) -> None:
    first, second = run("digits"), run("digits")
    assert "sklearn" in first
    assert second == first[:1]


def test_settings_and_content_have_files_of_their_own(archive: Path) -> None:
    data = load(archive)
    load(archive)
    assert len(files()) == 1
    assert not same(load(archive, seed=1), data)
    assert len(load(archive, test=0.1).test) == 6
    before = archive.stat()
    write(archive, 1)
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert archive.stat().st_size == before.st_size
    assert not same(load(archive), data)
    assert len(files()) == 4


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "header"])
def test_a_damaged_file_is_made_again(archive: Path, damage: str) -> None:
    data = load(archive)
    (file,) = files()
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[12 if damage == "header" else -1] ^= 1
    file.unlink()
    file.write_bytes({"cut": whole[:-1], "empty": b""}.get(damage, bytes(flipped)))
    assert same(load(archive), data)
    made = file.stat()
    assert made.st_size == len(whole)
    assert same(load(archive), data)
    assert file.stat().st_ino == made.st_ino


def test_processes_that_start_at_once_make_one_file(archive: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        sums = list(pool.map(lambda _: run("npz", str(archive)), range(3)))
    assert len({tuple(one[:1]) for one in sums}) == 1
    assert sum("sklearn" in one for one in sums) == 1
    assert [file.suffix for file in sorted(private_folder().iterdir())] == [".lock", ".safetensors"]


def test_a_process_that_was_killed_while_writing_is_cleaned_up_after(archive: Path) -> None:
    old, new = (private_folder() / f"{name}.tmp" for name in ("old", "new"))
    for left in (old, new):
        left.write_bytes(b"half")
    os.utime(old, (0, time.time() - 2 * 86_400))
    load(archive)
    assert (old.exists(), new.exists()) == (False, True)


def test_what_was_not_used_for_longest_makes_room(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(archive, seed=0)
    (first,) = files()
    monkeypatch.setattr("trainables.data.cache.MOST_BYTES", 2.5 * first.stat().st_size)
    load(archive, seed=1)
    for file in files():
        os.utime(file, (0, 0))
    load(archive, seed=0)  # used again
    load(archive, seed=2)
    assert len(files()) == 2
    assert first in files()


def test_the_folder_is_the_user_s_alone(archive: Path, cache: Path) -> None:
    load(archive)
    (folder,) = cache.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.warns(DataWarning, match="must be a folder of this user's with mode 700"):
        load(archive)


def test_a_folder_that_is_a_link_is_not_used(archive: Path, cache: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (cache / f"halving-{os.getuid()}").symlink_to(elsewhere)
    with pytest.warns(DataWarning):
        load(archive)
    assert not list(elsewhere.iterdir())


def test_without_a_place_to_keep_it_data_load_all_the_same(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(archive)
    monkeypatch.setenv("HALVING_CACHE", "/proc")
    with pytest.warns(DataWarning, match="every process decodes its own"):
        assert same(load(archive), expected)


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(archive: Path) -> None:
    """The limit on a file's size stands for the full disk: the write fails in its middle."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500));" + LOAD
    command = [sys.executable, "-W", "always", "-c", limited, "npz", str(archive)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "decoded data cannot be kept" in result.stderr
    assert float(result.stdout.split()[0]) == float(load(archive).train.inputs.double().sum())
    assert len(files()) == 1
    assert not list(private_folder().glob("*.tmp"))


def test_a_cache_that_can_only_be_read_is_read(archive: Path) -> None:
    data = load(archive)
    private_folder().chmod(0o500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(load(archive), data)
