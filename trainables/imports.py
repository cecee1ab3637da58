"""The user's own code by its import path, and the folders in which it is looked up."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from trainables.errors import near_miss
from trainables.failure import describe

_LIBRARIES = frozenset(["site-packages", "dist-packages", "thirdparty_files"])
_PYTHON = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "scripts")]


def add_folders(folders: Iterable[str]) -> None:
    """Look modules up in these folders as well, after all others, so that they hide none of Python's and of libraries.

    A folder in which modules are looked up already keeps its place.
    """
    known = {os.path.realpath(folder) for folder in sys.path}
    sys.path.extend(folder for folder in dict.fromkeys(folders) if os.path.realpath(folder) not in known)


def own_folders() -> list[str]:
    """The folders on the import path that are neither Python's nor of installed packages, in order."""
    folders = dict.fromkeys(os.path.abspath(folder) for folder in sys.path if os.path.isdir(folder or "."))
    return [folder for folder in folders if not _is_of_python(folder)]


def import_named(name: str) -> Any:
    """What `name`, "package.module:attribute", leads to. Raises ValueError, whose text quotes the name."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"must be 'package.module:name', but got {name!r}")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's module may raise
        hint = _hidden(module) or _nowhere(module, error)
        raise ValueError(f"{name!r} cannot be imported: {describe(error).error}{hint}") from error
    if hint := _hidden(module):
        raise ValueError(f"{name!r} cannot be imported{hint}")
    if not hasattr(found, attribute):
        hint = near_miss(attribute, [known for known in vars(found) if not known.startswith("_")])
        raise ValueError(f"{name!r} cannot be imported: {module} has no {attribute!r}{hint}")
    return getattr(found, attribute)


def _hidden(module: str) -> str:
    """A hint to the user's file of the module's name, if another module of that name is imported in its place."""
    top = module.partition(".")[0]
    folders = own_folders()
    places = _places(sys.modules[top]) if top in sys.modules else []
    own = [place for place in places if not _is_of_python(place)]  # of libraries some are inside a project's folder
    if top not in sys.modules or any(_is_inside(place, folder) for place in own for folder in folders):
        return ""
    names = (f"{top}.py", f"{top}/__init__.py", f"{module.replace('.', '/')}.py")
    hidden = next((file for folder in folders for name in names if (file := Path(folder, name)).is_file()), None)
    return f"; {hidden} is hidden by {places[0] if places else 'Python itself'}: rename it" if hidden else ""


def _places(module: ModuleType) -> list[str]:
    """The file or the folders that a module is loaded from; none for one that is built in."""
    file = getattr(module, "__file__", None)
    return [file] if file else list(getattr(module, "__path__", []))


def _nowhere(module: str, error: BaseException) -> str:
    """A hint to the folders in which the module was looked up, if it is the one that was not found."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if not missing or not f"{module}.".startswith(f"{missing}."):
        return ""
    top, folders = module.partition(".")[0], own_folders()
    known = {file.stem for folder in folders for file in Path(folder).glob("*.py")} - {top}
    return f"{near_miss(top, known)}; looked in {', '.join(folders)} and the installed packages"


def _is_inside(place: str, folder: str) -> bool:
    return os.path.realpath(place).startswith(os.path.join(os.path.realpath(folder), ""))


def _is_of_python(place: str) -> bool:
    """Whether a file or folder is of Python's own modules, of installed packages or of commands."""
    inside = any(_is_inside(os.path.join(place, "x"), root) for root in _PYTHON)
    return inside or bool(_LIBRARIES & set(Path(place).parts))
