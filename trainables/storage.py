"""The files of a run, on a disk or in an object store: the few operations that both do safely.

A place is a `Path`, or text: a path, or a URI that `pyarrow.fs` knows, such as
`s3://bucket/folder?endpoint_override=host:port`. Credentials come from the environment only, since places are shown.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from trainables.patience import Request, limit_for

Place = Path | str
Result = TypeVar("Result")

_PART = 8 * 2**20
"""Bytes of an object that are read at a time."""


_SECRET = re.compile(r"key|secret|token|password|credential|^sig$", re.IGNORECASE)


class StorageError(ValueError):
    """A place that cannot be one; the message names it and the rule."""


class StoreError(OSError):
    """A disk or an object store that fails, refuses or does not answer; the message has the place and the reason."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number

    def __reduce__(self) -> tuple[type[Self], tuple[str, int | None]]:
        return type(self), (str(self), self.errno)


def check_uri(uri: str) -> None:
    """Looks at a URI without asking its store. Raises StorageError if it is none, or holds what nobody should read."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise StorageError(f"must be a path or a URI, but: {error}") from None
    if parts.password is not None:
        raise StorageError(f"{_shown(uri)}: must not hold a password; credentials come from the environment")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET.search(name):
            raise StorageError(f"{_shown(uri)}: must not hold {name!r}; credentials come from the environment")
    if not parts.netloc and parts.scheme != "file":
        raise StorageError(f"{_shown(uri)}: must name a bucket, as in {parts.scheme}://bucket/folder")


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


def absolute(place: Place) -> Place:
    """The place for a process that may have started in another folder."""
    path = local_path(place)
    return place if path is None else path.resolve()


def read_bytes(place: Place) -> bytes:
    """All of a file. Raises FileNotFoundError."""
    path = local_path(place)
    if path is not None:
        with _local(path):
            return path.read_bytes()
    return _ask(place, _read_remote)


def write_bytes(place: Place, data: bytes | memoryview) -> None:
    """Makes or replaces a file; when this returns it is on the disk or in the store.

    A reader, or a crash, meets the old file or the new one, never a part: locally by a file beside it that is renamed,
    in an object store because objects appear whole.
    """
    path = local_path(place)
    if path is not None:
        with _local(path):
            _replace(path, data)
        return

    def write(system: Any, key: str, request: Request[None]) -> None:
        with system.open_output_stream(key) as file:
            file.write(data)

    _ask(place, write, len(data))


def exists(place: Place) -> bool:
    """Whether a file is there."""
    path = local_path(place)
    if path is not None:
        with _local(path):
            return path.is_file()
    return _ask(place, lambda system, key, _: bool(system.get_file_info(key).is_file))


def children(folder: Place) -> list[str]:
    """The names of the files and folders in a folder, sorted; none if it does not exist. Raises OSError."""
    path = local_path(folder)
    if path is None:
        infos = _ask(folder, lambda system, key, _: _infos(system, key, recursive=False))
        return sorted(info.base_name for info in infos)
    with suppress(FileNotFoundError), _local(path):
        return sorted(os.listdir(path))
    return []


def list_files(folder: Place) -> list[str]:
    """The files in a folder and in those below, sorted, as `name` or `folder/name`; none if it does not exist."""
    return sorted(modified(folder))


def modified(folder: Place) -> dict[str, float]:
    """When each of `list_files` was last written, in seconds by the clock of the disk or store."""
    path = local_path(folder)
    if path is None:
        return _ask(folder, _modified_remote)
    times = {}
    with _local(path):
        for file in path.rglob("*"):
            with suppress(FileNotFoundError):  # removed since it was listed
                if file.is_file():
                    times[file.relative_to(path).as_posix()] = file.stat().st_mtime
    return times


def sibling(place: Place, name: str) -> Place:
    """The place of another file in the same folder."""
    path = local_path(place)
    if path is not None:
        return path.with_name(name)
    parts = urlsplit(str(place))
    return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}").geturl()


def replace_file(place: Place, data: bytes | memoryview, before: Place) -> None:
    """As `write_bytes`, but the file that was there, if any, is at `before` then, in place of what was there."""
    path, kept = local_path(place), local_path(before)
    if path is not None and kept is not None:
        with _local(path):
            _replace(path, data, kept)
        return
    if exists(place):
        _ask(place, lambda system, key, _: system.copy_file(key, f"{key.rpartition('/')[0]}/{_name(before)}"))
    write_bytes(place, data)


def move(place: Place, to: Place) -> None:
    """Renames a file, in place of what was there; in an object store it is copied and then removed."""
    path, target = local_path(place), local_path(to)
    if path is not None and target is not None:
        with _local(path):
            path.replace(target)
            sync_folder(target.parent)
        return
    write_bytes(to, read_bytes(place))
    delete_file(place)


def delete_file(place: Place) -> None:
    """Removes a file, if it is there."""
    path = local_path(place)
    with suppress(FileNotFoundError):
        if path is not None:
            with _local(path):
                path.unlink()
            return
        _ask(place, lambda system, key, _: system.delete_file(key))


def delete_tree(folder: Place, *, keep: Collection[str] = ()) -> None:
    """Removes a folder with all below it, if it is there; with `keep`, only what does not have one of these names."""
    path = local_path(folder)
    with suppress(FileNotFoundError):
        if path is not None:
            with _local(path):
                _delete_local(path, keep)
            return
        _ask(folder, lambda system, key, request: _delete_remote(system, key, keep, request))


def download_tree(place: Place, folder: Path) -> None:
    """Copies every file of a place to a local folder, each whole or not at all."""
    for name in list_files(place):
        write_bytes(folder / name, read_bytes(join(place, name)))


@contextmanager
def local_copy(place: Place) -> Iterator[Path]:
    """A file for what wants a path: itself, or while the context lasts a copy on this machine. Raises OSError."""
    path = local_path(place)
    if path is not None:
        yield path
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder, urlsplit(str(place)).path.rpartition("/")[2])
        copy.write_bytes(read_bytes(place))
        yield copy


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


def _replace(path: Path, data: bytes | memoryview, before: Path | None = None) -> None:
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if before:
            with suppress(FileNotFoundError):
                path.replace(before)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _delete_local(path: Path, keep: Collection[str]) -> None:
    if not keep:
        _remove(path)
        return
    for child in path.iterdir():
        if child.name not in keep:
            _remove(child)


def _remove(path: Path) -> None:
    """Removes a file, a folder with all below it, or a link, but not what the link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _read_remote(system: Any, key: str, request: Request[bytes]) -> bytes:
    with system.open_input_stream(key) as file:
        parts = []
        while part := file.read(_PART):
            parts.append(part)
            request.progress()
    return b"".join(parts)


def _modified_remote(system: Any, key: str, request: Request[dict[str, float]]) -> dict[str, float]:
    infos = [info for info in _infos(system, key, recursive=True) if info.is_file]
    return {info.path.removeprefix(f"{key}/"): info.mtime_ns / 1e9 for info in infos}


def _name(uri: Place) -> str:
    return unquote(urlsplit(str(uri)).path).rpartition("/")[2]


def _delete_remote(system: Any, key: str, keep: Collection[str], request: Request[None]) -> None:
    if not keep:
        system.delete_dir(key)
        return
    for info in _infos(system, key, recursive=False):
        if info.base_name not in keep:
            (system.delete_file if info.is_file else system.delete_dir)(info.path)
            request.progress()


def _infos(system: Any, key: str, *, recursive: bool) -> list[Any]:
    from pyarrow.fs import FileSelector

    infos: list[Any] = system.get_file_info(FileSelector(key, allow_not_found=True, recursive=recursive))
    return infos


@contextmanager
def _local(path: Path) -> Iterator[None]:
    """What the disk refuses in the context is a StoreError, except that something is not there."""
    try:
        yield
    except (FileNotFoundError, StoreError):
        raise
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}", error.errno) from None


def _ask(place: Place, do: Callable[[Any, str, Request[Result]], Result], size: int = 0) -> Result:
    """What `do` returns, given the file system of a URI and the path in it; what the store refuses is a StoreError.

    size: bytes that are sent.
    """
    uri = str(place)
    check_uri(uri)
    parts = urlsplit(uri)

    def work(request: Request[Result]) -> Result:
        system, root = _file_system(parts.scheme, parts.netloc, parts.query)
        return do(system, f"{root.rstrip('/')}/{unquote(parts.path).strip('/')}".rstrip("/"), request)

    try:
        return Request(work, limit_for(size)).result()
    except FileNotFoundError:
        raise
    except OSError as error:
        said = re.sub(r" *\(Request ID: [^)]*\)", "", " ".join(str(error).split()))
        raise StoreError(f"{uri}: {said}") from None


def _shown(uri: str) -> str:
    """The URI without what it should not hold."""
    parts = urlsplit(uri)
    netloc = parts.netloc if parts.password is None else f"…@{parts.netloc.rpartition('@')[2]}"
    return f"{parts.scheme}://{netloc}{parts.path}"


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
