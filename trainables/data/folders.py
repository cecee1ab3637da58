"""What is in a folder and in those inside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def walk(top: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder, `top` first, with the names of its files; in one order on every machine.

    Links to folders are followed, but a folder comes once: one that leads back to where it is would never end.
    """
    seen = set()
    for folder, folders, names in os.walk(top, followlinks=True):
        found = os.stat(folder)
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders.sort()
        yield folder, sorted(names)
