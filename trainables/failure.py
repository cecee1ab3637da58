"""Exceptions as plain text, which any process can read: a clean line, a place in the user's code, the traceback."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from traceback import TracebackException, walk_tb
from types import FrameType, TracebackType

_LONGEST = 500
"""Characters of an error in one line."""
_TRACEBACK = 64_000
"""Characters of a traceback."""
_SHOWN = 3
"""Frames of the user's code that a line names."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Sequences by which a terminal is told of colours, titles and cursors."""
_PACKAGES = ("orchestrator", "search_spaces", "trainables")
_FOREIGN = tuple(
    os.path.join(folder, "")
    for folder in (
        *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *(str(Path(__file__).parents[1] / package) for package in _PACKAGES),
    )
)


@dataclass(frozen=True)
class Failure:
    """One exception.

    Attributes:
        error: kind and text, then the innermost frames of the user's own code, in one line.
        place: kind and innermost own frame, equal for the same error at the same place; empty without such a frame.
        traceback: all of it, in lines.
    """

    error: str
    place: str
    traceback: str


def describe(error: BaseException, own: Collection[str] = ()) -> Failure:
    """The exception as text. Never raises, whatever the exception does when it is asked for its text.

    own: top-level packages that are the user's wherever they are installed. Files outside of Python, of the installed
    packages and of this project are the user's anyway.
    """
    frames = _own_frames(error, frozenset(own))
    places = [f"{shown_file(frame.f_code.co_filename)}:{line}" for frame, line in frames]
    names = [f"{place} in {frame.f_code.co_name}" for place, (frame, _) in zip(places, frames, strict=True)]
    said, where = kind_and_text(error), clean_line(f"({', '.join(names[-_SHOWN:])})") if names else ""
    return Failure(
        error=said if where in said else f"{said} {where}",
        place=clean_line(f"{_kind(error)} at {places[-1]}") if places else "",
        traceback=_traceback(error),
    )


def kind_and_text(error: BaseException) -> str:
    """The exception's kind and text in one short line; of a group also those of the first exceptions in it."""
    text = _text(error)
    if isinstance(error, BaseExceptionGroup):
        text = f"{text}: {'; '.join(kind_and_text(one) for one in error.exceptions[:_SHOWN])}"
    return clean_line(f"{_kind(error)}: {text}" if text else _kind(error))


def clean_line(text: str, longest: int = _LONGEST) -> str:
    """The text in one line without colours, its control characters escaped and its middle left out if it is long."""
    return shorten_middle(" ".join(clean(shorten_middle(text, 20 * longest)).split()), longest)


def clean(text: str) -> str:
    """The text without colours, with whatever cannot be printed or encoded escaped."""
    bare = _ESCAPES.sub("", text).replace("\r\n", "\n")
    if bare.isprintable():
        return bare
    return "".join(one if one in "\n\t" or one.isprintable() else ascii(one)[1:-1] for one in bare)


def shorten_middle(text: str, longest: int) -> str:
    """The text, or its first three quarters and its end if it has more characters."""
    if len(text) <= longest:
        return text
    kept = longest - 3
    head = kept * 3 // 4
    return f"{text[:head]}...{text[head - kept :]}"


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # whatever a user's __str__ may raise
        return f"its text cannot be had, which raises {_kind(broken)}"
    return clean_line(text)


def _kind(error: BaseException) -> str:
    return clean_line(type(error).__name__)


def _traceback(error: BaseException) -> str:
    try:
        lines = "".join(TracebackException.from_exception(error, compact=True).format())
    except BaseException as broken:  # an exception whose attributes raise
        lines = f"{kind_and_text(error)}\n(no traceback: {_kind(broken)})\n"
    return shorten_middle(clean(lines), _TRACEBACK)


def _own_frames(error: BaseException | None, own: frozenset[str]) -> list[tuple[FrameType, int]]:
    """The user's frames of the exception or, if it has none, of the nearest one that it follows from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if frames := list(_frames(error.__traceback__, own)):
            return frames
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return []


def _frames(traceback: TracebackType | None, own: frozenset[str]) -> Iterator[tuple[FrameType, int]]:
    """The user's frames, outermost first; of a recursion that stands at one line each frame once."""
    last: tuple[object, int] | None = None
    for frame, line in walk_tb(traceback):
        this = (frame.f_code, line)
        if this != last and _is_own(frame, own):
            yield frame, line
        last = this


def _is_own(frame: FrameType, own: frozenset[str]) -> bool:
    file = frame.f_code.co_filename
    module = str(frame.f_globals.get("__name__", ""))
    if module.partition(".")[0] in own:
        return True
    if file.startswith("<"):  # code without a file: a prompt's, or generated
        return module == "__main__"
    return is_own_file(file)


def is_own_file(file: str) -> bool:
    """Whether a file of code is neither Python's, nor an installed package's, nor this project's."""
    return not file.startswith(_FOREIGN) and not {"site-packages", "dist-packages"} & set(Path(file).parts)


def shown_file(file: str) -> str:
    """The file's name from the folder on the import path that holds it: the same on every machine."""
    roots = [os.path.join(os.path.abspath(root), "") for root in sys.path]
    holds = max((root for root in roots if file.startswith(root)), key=len, default="")
    return file.removeprefix(holds)
