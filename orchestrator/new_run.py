"""The folder of a run that begins. Nothing of an earlier run is touched before the new sweep is written beside it."""

from __future__ import annotations

import os
import re
import shlex
import uuid
from contextlib import suppress
from typing import Any, Self

from orchestrator.errors import SweepError
from orchestrator.layout import JOURNAL, SWEEP
from orchestrator.lock import LOCK
from orchestrator.sweep import Sweep, dump_sweep
from trainables.storage import (
    Place,
    children,
    delete_file,
    delete_tree,
    exists,
    join,
    local_path,
    modified,
    move,
    write_bytes,
)

REPLACING = "sweep.yaml.new"
"""The sweep of a run that takes the place of an earlier one, while that is deleted."""
_PREPARED = re.compile(r"sweep\.yaml\.[0-9a-f]{32}")


class NewRun:
    """A sweep written beside whatever is in its folder; `begin` then makes it the folder's run.

    A context manager, which removes what it wrote if the run has not begun.

    Args:
        replace: an earlier run in the folder may be deleted.

    Raises:
        SweepError: the folder is neither new nor a run that may be replaced, the sweep cannot be written as YAML, or
            the folder cannot be written.
    """

    def __init__(self, sweep: Sweep, replace: bool) -> None:
        self._sweep, self._replace = sweep, replace
        self._text = sweep_text(sweep)
        self._found = check_new(sweep, replace)
        self._prepared = join(sweep.folder, f"{SWEEP}.{uuid.uuid4().hex}")

    def __enter__(self) -> Self:
        try:
            write_bytes(self._prepared, self._text)
        except OSError as error:
            raise unusable(self._sweep.folder, error) from None
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            delete_file(self._prepared)
            if path := local_path(self._sweep.folder):
                path.rmdir()  # if nothing else is in it

    def begin(self) -> None:
        """Delete the earlier run, if there is one, and put the sweep there. Call it with the run's lock held.

        Raises SweepError if another process has made a run there since, StoreError if the folder cannot be written.
        """
        folder = self._sweep.folder
        if check_new(self._sweep, self._replace) != self._found:
            rule = "another process has made a run there since this one was started"
            raise SweepError(f"name: {folder} must stay as it was when it was asked to be replaced, but {rule}")
        move(self._prepared, join(folder, REPLACING))
        # Without it the folder is no run's, so that one that was broken off in the middle is known as such.
        delete_file(join(folder, SWEEP))
        delete_tree(folder, keep=[LOCK, REPLACING])
        move(join(folder, REPLACING), join(folder, SWEEP))


def sweep_text(sweep: Sweep) -> bytes:
    """The resolved sweep as YAML. Raises SweepError if it holds what YAML cannot."""
    try:
        return dump_sweep(sweep).encode()
    except (TypeError, ValueError, UnicodeError) as error:
        raise SweepError(f"sweep: must hold values that YAML can, but: {str(error).splitlines()[0]}") from None


def write_sweep(sweep: Sweep, folder: Place) -> None:
    """Writes the resolved sweep, whole or not at all."""
    write_bytes(join(folder, SWEEP), sweep_text(sweep))


def check_new(sweep: Sweep, replace: bool) -> dict[str, Any]:
    """A run's folder must be new, or an earlier run that may be replaced. Changes nothing.

    Returns what tells the earlier run from any other; empty if the folder is new.

    Raises:
        SweepError: it is neither.
    """
    folder = sweep.folder
    try:
        inside = [name for name in children(folder) if name != LOCK and not _PREPARED.fullmatch(name)]
        if inside in ([], [REPLACING]):
            return {}
        if SWEEP not in inside and REPLACING not in inside:
            raise SweepError(f"name: {folder} must be free for the run, but it exists and is not the folder of a run")
        if not replace:
            raise SweepError(
                f"name: a run named {sweep.name!r} already exists in {sweep.storage}: choose another name, pass "
                f"--replace, or continue it with: halving resume {shlex.quote(str(folder))}"
            )
        return {"inside": inside, "journal": modified(join(folder, JOURNAL))}
    except OSError as error:
        raise unusable(folder, error) from None


def is_being_replaced(folder: Place) -> bool:
    """Whether the folder is that of a run that was to be replaced, which was broken off."""
    return exists(join(folder, REPLACING)) and not exists(join(folder, SWEEP))


def unusable(folder: Place, error: OSError) -> SweepError:
    """A storage in which no run can be made."""
    if local_path(folder) is None or not error.errno:
        return SweepError(f"storage: {error}")
    return SweepError(f"storage: {folder} must be writable, but: {os.strerror(error.errno)}")
