"""What a dataset depends on, in one name: settings, files, versions and code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from stat import S_ISDIR

from trainables.config import DataConfig
from trainables.data.folders import walk


def key_of(config: DataConfig, path: str | None, packages: tuple[str, ...]) -> str:
    """Names what `config` makes of the files at `path`: other settings, files, versions or code, another key.

    A file counts as changed when its size, its times or its inode are others; nothing of it is read. A folder counts by
    its name, since an empty one may be that of a class.
    """
    digest = hashlib.sha256(json.dumps(config.model_dump(mode="json")).encode())
    for package in packages:
        digest.update(f"{package} {version(package)}\n".encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):  # so that nobody has to think of a version number
        digest.update(module.read_bytes())
    for place in _places(path):
        digest.update(os.fsencode(place) + f"\0{_facts(place)}\n".encode())
    return digest.hexdigest()


def _places(path: str | None) -> Iterator[str]:
    """The file; or the folder and all files and folders in it."""
    if path is None:
        return
    if not os.path.isdir(path):
        yield path
    for folder, names in walk(path):
        yield folder
        yield from (os.path.join(folder, name) for name in names)


def _facts(place: str) -> tuple[int, ...]:
    """What changes with a file; nothing of a folder, and of what is gone or out of reach: who reads it will say so."""
    with suppress(OSError):
        found = os.stat(place)
        if not S_ISDIR(found.st_mode):
            return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
    return ()
