"""Data decoded once a node: a file that every process there maps into its memory, so that all of them share the pages.

A file is a dataset in safetensors' format, with a checksum, in a folder that only its user can enter. It is written
beside its place and renamed, by one process while others wait, and whatever fails here costs time only: the data are
then decoded by each process for itself.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trainables.data.dataset import Column, Dataset, DataWarning, Split
from trainables.data.dialect import Dialect
from trainables.data.splitting import PARTS

MOST_BYTES = 20 * 2**30
"""What all files together may hold; of more, those that were not used for longest are removed."""
_SUFFIX = ".safetensors"
_STATISTICS = ("mean", "std", "target_mean", "target_std")
_DAY_S = 86_400


def cached(key: str, make: Callable[[], Dataset]) -> Dataset:
    """The dataset of that key from this node's cache; made, and kept there, if the cache does not have it whole."""
    try:
        folder = private_folder()
    except OSError as error:
        _warn(error)
        return make()
    path = folder / f"{key}{_SUFFIX}"
    data = _load(path)
    if data is None:
        with _locked(folder / f"{key[:2]}.lock"):
            data = _load(path) or _keep(make(), path)
    return data


def private_folder() -> Path:
    """$HALVING_CACHE/halving-UID, by default in the system's temporary folder; made if it is not there.

    Raises OSError, also if it is not this user's alone: others could put their data in place of it.
    """
    folder = Path(os.environ.get("HALVING_CACHE") or tempfile.gettempdir(), f"halving-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "must be a folder of this user's with mode 700", str(folder))
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among the processes of this node; not, where the disk has no locks. A lock's file stays: it is empty."""
    with _descriptor(path) as lock:
        if lock is not None:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _descriptor(path: Path) -> Iterator[int | None]:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # read only, or full: writing will say so
        yield None
        return
    try:
        yield lock
    finally:
        os.close(lock)


def _load(path: Path) -> Dataset | None:
    """What the file holds, mapped privately: who writes into a tensor changes no file. None if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
    except (OSError, SafetensorError):
        return None
    if facts.get("checksum") != _checksum(tensors, facts.get("dataset", "")):
        return None
    with suppress(OSError):
        os.utime(path)
    return _unpacked(tensors, facts["dataset"])


def _keep(data: Dataset, path: Path) -> Dataset:
    """Writes the dataset, and gives it as whoever comes later gets it."""
    tensors, facts = _packed(data)
    temporary = path.with_suffix(f".{uuid4().hex}.tmp")
    try:
        needed = sum(tensor.nbytes for tensor in tensors.values())
        if shutil.disk_usage(path.parent).free < 2 * needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))
        save_file(tensors, temporary, {"dataset": facts, "checksum": _checksum(tensors, facts)})
        temporary.replace(path)
        _make_room(path)
    except (OSError, SafetensorError) as error:
        _warn(error)
        return data
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return _load(path) or data


def _make_room(kept: Path) -> None:
    """Removes what was not used for longest, and what killed processes left. Who has a removed file mapped keeps it."""
    for left in kept.parent.glob("*.tmp"):
        if left.stat().st_mtime < time.time() - _DAY_S:
            left.unlink(missing_ok=True)
    files = {file: file.stat() for file in kept.parent.glob(f"*{_SUFFIX}")}
    held = sum(found.st_size for found in files.values())
    for file in sorted(files, key=lambda file: files[file].st_mtime_ns):
        if held > MOST_BYTES and file != kept:
            file.unlink(missing_ok=True)
            held -= files[file].st_size


def _packed(data: Dataset) -> tuple[dict[str, Tensor], str]:
    """The tensors by name, and the rest as JSON."""
    tensors = {name: getattr(data, name) for name in _STATISTICS}
    for part in PARTS:
        split: Split = getattr(data, part)
        tensors |= {f"{part}.inputs": split.inputs, f"{part}.targets": split.targets}
    facts = {
        "classes": data.classes,
        "columns": [asdict(one) for one in data.columns],
        "warnings": data.warnings,
        "dialect": asdict(data.dialect),
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, json.dumps(facts)


def _unpacked(tensors: dict[str, Tensor], facts: str) -> Dataset:
    said = json.loads(facts)
    columns = [Column.from_json(one) for one in said["columns"]]
    parts: dict[str, Any] = {part: Split(tensors[f"{part}.inputs"], tensors[f"{part}.targets"]) for part in PARTS}
    statistics: dict[str, Any] = {name: tensors[name] for name in _STATISTICS}
    return Dataset(
        **parts,
        **statistics,
        classes=tuple(said["classes"]),
        columns=tuple(columns),
        warnings=tuple(said["warnings"]),
        dialect=Dialect(**said["dialect"]),
    )


def _checksum(tensors: dict[str, Tensor], facts: str) -> str:
    """CRC-32 of everything, without a copy: it is to find damage, and reads gigabytes a second."""
    total = zlib.crc32(facts.encode())
    for name, tensor in sorted(tensors.items()):
        total = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), total)
        total = zlib.crc32(tensor.flatten().numpy().data, total)
    return f"{total:08x}"


def _warn(error: Exception) -> None:
    warnings.warn(
        f"decoded data cannot be kept, so that every process decodes its own: {error}", DataWarning, stacklevel=2
    )
