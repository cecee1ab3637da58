"""The files of a run, on a disk or in an object store: the few operations that both do safely.

A place is a `Path`, or text: a path, or a URI that `pyarrow.fs` knows, such as
`s3://bucket/folder?endpoint_override=host:port`. Credentials come from the environment only, since places are shown.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

Place = Path | str


class StorageError(ValueError):
    """A place that cannot be one; the message names it and the rule."""


def local_path(place: Place) -> Path | None:
    """The place as a path of this machine or of a file system mounted here; None if it is in an object store."""
    if isinstance(place, Path):
        return place
    if "://" not in place:
        return Path(place)
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def join(place: Place, *names: str) -> Place:
    """The place of something inside: a `Path`, or a URI with the same options."""
    path = local_path(place)
    if path is not None:
        return path.joinpath(*names)
    parts = urlsplit(str(place))
    return parts._replace(path="/".join([parts.path.rstrip("/"), *names])).geturl()


def read_bytes(place: Place) -> bytes:
    """All of a file. Raises FileNotFoundError."""
    path = local_path(place)
    if path is not None:
        return path.read_bytes()
    system, key = _remote(str(place))
    with system.open_input_stream(key) as file:
        data: bytes = file.read()
    return data


def write_bytes(place: Place, data: bytes | memoryview) -> None:
    """Makes or replaces a file; when this returns it is on the disk or in the store.

    A reader, or a crash, meets the old file or the new one, never a part: locally by a file beside it that is renamed,
    in an object store because objects appear whole.
    """
    path = local_path(place)
    if path is not None:
        _replace(path, data)
        return
    system, key = _remote(str(place))
    with system.open_output_stream(key) as file:
        file.write(data)


def exists(place: Place) -> bool:
    """Whether a file is there."""
    path = local_path(place)
    if path is not None:
        return path.is_file()
    system, key = _remote(str(place))
    return bool(system.get_file_info(key).is_file)


def list_files(folder: Place) -> list[str]:
    """The files in a folder and in those below, sorted, as `name` or `folder/name`; none if it does not exist."""
    return sorted(modified(folder))


def modified(folder: Place) -> dict[str, float]:
    """When each of `list_files` was last written, in seconds by the clock of the disk or store."""
    path = local_path(folder)
    if path is None:
        system, key = _remote(str(folder))
        infos = [info for info in _infos(system, key, recursive=True) if info.is_file]
        return {info.path.removeprefix(f"{key}/"): info.mtime_ns / 1e9 for info in infos}
    times = {}
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):  # removed since it was listed
            if file.is_file():
                times[file.relative_to(path).as_posix()] = file.stat().st_mtime
    return times


def delete_file(place: Place) -> None:
    """Removes a file, if it is there."""
    path = local_path(place)
    with suppress(FileNotFoundError):
        if path is not None:
            path.unlink()
        else:
            system, key = _remote(str(place))
            system.delete_file(key)


def delete_tree(folder: Place, *, keep: Collection[str] = ()) -> None:
    """Removes a folder with all below it, if it is there; with `keep`, only what does not have one of these names."""
    path = local_path(folder)
    with suppress(FileNotFoundError):
        if path is not None:
            _delete_local(path, keep)
        else:
            _delete_remote(*_remote(str(folder)), keep)


def upload_tree(folder: Path, place: Place) -> None:
    """Copies every file of a local folder to a place, each whole or not at all."""
    for name in list_files(folder):
        write_bytes(join(place, name), (folder / name).read_bytes())


def download_tree(place: Place, folder: Path) -> None:
    """Copies every file of a place to a local folder, each whole or not at all."""
    for name in list_files(place):
        write_bytes(folder / name, read_bytes(join(place, name)))


def make_folder(folder: Path) -> None:
    """Makes a local folder with its parents, so that a crash does not undo it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in a local folder is only on the disk once the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes | memoryview) -> None:
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _delete_local(path: Path, keep: Collection[str]) -> None:
    if not keep:
        shutil.rmtree(path)
        return
    for child in path.iterdir():
        if child.name in keep:
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _delete_remote(system: Any, key: str, keep: Collection[str]) -> None:
    if not keep:
        system.delete_dir(key)
        return
    for info in _infos(system, key, recursive=False):
        if info.base_name not in keep:
            (system.delete_file if info.is_file else system.delete_dir)(info.path)


def _infos(system: Any, key: str, *, recursive: bool) -> list[Any]:
    from pyarrow.fs import FileSelector

    infos: list[Any] = system.get_file_info(FileSelector(key, allow_not_found=True, recursive=recursive))
    return infos


def _remote(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the path in it."""
    parts = urlsplit(uri)
    if parts.password is not None:
        shown = parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}").geturl()
        raise StorageError(f"{shown}: must not hold a password; credentials come from the environment")
    system, root = _file_system(parts.scheme, parts.netloc, parts.query)
    return system, f"{root.rstrip('/')}/{unquote(parts.path).strip('/')}".rstrip("/")


@lru_cache(maxsize=8)
def _file_system(scheme: str, netloc: str, query: str) -> tuple[Any, str]:
    """Kept, since making one may ask the store where it is."""
    # Not at the top: a worker whose run is on a disk has no use for it.
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem

    options = [query] if query else []
    if scheme == "s3" and "allow_delayed_open" not in query:
        options.append("allow_delayed_open=true")  # one request a small object instead of three
    uri = f"{scheme}://{netloc}" + (f"?{'&'.join(options)}" if options else "")
    try:
        system, root = FileSystem.from_uri(uri)
    except (ArrowInvalid, NotImplementedError) as error:
        raise StorageError(
            f"{scheme}://{netloc}: must be a path or a URI that pyarrow.fs knows, but: {error}"
        ) from None
    return system, root
