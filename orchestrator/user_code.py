"""Where the user's own modules and relative files are: the same for a run's driver and all its processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar

from orchestrator.events import Event
from trainables.imports import add_folders, own_folders
from trainables.storage import Place, local_path

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class UserCode:
    """The folders of a run's user.

    Attributes:
        start: the one in which the run was started, where its processes are at work.
        folders: modules are looked up in these, in order, after Python's own and the installed ones.
        run: the run's own folder at that time; empty if it is in a store.
    """

    start: str
    folders: tuple[str, ...]
    run: str = ""

    @classmethod
    def here(cls, run: Place, beside: str = "") -> Self:
        """The current folder, then that of the sweep's file, then what else this process imports from."""
        path, start = local_path(run), os.getcwd()
        folders = [start, *([os.path.abspath(beside)] if beside else []), *own_folders()]
        return cls(start, tuple(dict.fromkeys(folders)), str(path.absolute()) if path else "")

    @classmethod
    def of_run(cls, run: Place, events: Iterable[Event], beside: str = "") -> Self:
        """The folders that the run's first session has written down, as far as they are there, and those of `here`.

        One that was moved together with the run is found where it stands to the run's folder as before.
        """
        now = cls.here(run, beside)
        first = next((event["code"] for event in events if event["event"] == "session" and "code" in event), None)
        if first is None:
            return now
        before = cls(first["start"], tuple(first["folders"]), first.get("run", ""))
        start = next(before._found(before.start, now.run), now.start)
        known = [found for folder in before.folders for found in before._found(folder, now.run)]
        return cls(start, tuple(dict.fromkeys([*known, *now.folders])), now.run)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for an event or a job."""
        return {**asdict(self), "folders": list(self.folders)}

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        return cls(values["start"], tuple(values["folders"]), values.get("run", ""))

    def look_up(self) -> None:
        """Import the user's modules from now on."""
        add_folders(self.folders)

    def enter(self) -> None:
        """Make this process, which is the run's alone, import the user's modules and work where the run was started."""
        self.look_up()
        if os.path.isdir(self.start):  # on another machine it may not be there
            os.chdir(self.start)

    def around(self, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """The function, for a process of the run."""

        @wraps(function)
        def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            self.enter()
            return function(*args, **kwargs)

        return call

    def _found(self, folder: str, run: str) -> Iterator[str]:
        """Where the folder is now, if it is anywhere."""
        if os.path.isdir(folder):
            yield folder
        elif self.run and run:
            moved = os.path.normpath(os.path.join(run, os.path.relpath(folder, self.run)))
            if os.path.isdir(moved):
                yield moved
