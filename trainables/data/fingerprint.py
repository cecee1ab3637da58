"""What a dataset depends on, in one name: settings, files, versions and code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from trainables.config import DataConfig


def key_of(config: DataConfig, path: str | None, packages: tuple[str, ...]) -> str:
    """Names what `config` makes of the files at `path`: other settings, files, versions or code, another key.

    A file counts as changed when its size, its times or its inode are others; nothing of it is read.
    """
    digest = hashlib.sha256(json.dumps(config.model_dump(mode="json")).encode())
    for package in packages:
        digest.update(f"{package} {version(package)}\n".encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):  # so that nobody has to think of a version number
        digest.update(module.read_bytes())
    for file in _files(path):
        with suppress(OSError):  # gone or out of reach: whoever reads it will say so
            found = os.stat(file)
            facts = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
            digest.update(os.fsencode(file) + f"\0{facts}\n".encode())
    return digest.hexdigest()


def _files(path: str | None) -> Iterator[str]:
    """The file, or all files in the folder and in those inside it, always in one order."""
    if path is None:
        return
    if not os.path.isdir(path):
        yield path
    for folder, folders, names in os.walk(path, followlinks=True):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names))
