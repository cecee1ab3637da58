"""Exceptions as text: whatever they are and do, what is left can be printed, encoded and sent to another process."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.failure import clean, describe

HERE = "tests/trainables/test_failure.py"


class Two(Exception):
    def __init__(self, first: object, second: object) -> None:
        super().__init__("Operation failed")
        self.first, self.second = first, second


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Numbers(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


class NoAttributes(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("no notes")


def raised(raises: Callable[[], Any]) -> BaseException:
    try:
        raises()
    except BaseException as error:
        return error
    raise AssertionError


def throw(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Two(threading.Lock(), 2), "Two: Operation failed"),
        (KeyError("bad luck"), "KeyError: 'bad luck'"),
        (SystemExit("bye"), "SystemExit: bye"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (MemoryError(), "MemoryError"),
        (Mute(), "Mute: its text cannot be had, which raises SystemExit"),
        (Numbers(), "Numbers: its text cannot be had, which raises TypeError"),
        (NoAttributes("kept"), "NoAttributes: kept"),
        (ValueError("no header in \udce9t.csv"), r"ValueError: no header in \udce9t.csv"),
        (ValueError("a\x00b\r\n  c\td"), r"ValueError: a\x00b c d"),
        (ValueError("\x1b[1;31mred\x1b[0m \x1b]0;title\x07and plain"), "ValueError: red and plain"),
        (
            ExceptionGroup("all", [ValueError("a"), KeyError("b")]),
            "all (2 sub-exceptions): ValueError: a; KeyError: 'b'",
        ),
        (BaseExceptionGroup("both", [KeyboardInterrupt()]), "both (1 sub-exception): KeyboardInterrupt"),
        (type("Odd\nname", (Exception,), {})("x"), "Odd name: x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_is_its_kind_its_text_and_its_place(error: BaseException, expected: str) -> None:
    failure = describe(raised(lambda: throw(error)))
    assert expected in failure.error
    assert failure.error.endswith(" in throw)")
    assert failure.place.partition(" at ")[2] == f"{HERE}:{throw.__code__.co_firstlineno + 1}"
    assert pickle.loads(pickle.dumps(failure)) == failure


@given(st.text(st.characters(codec=None), max_size=60), st.integers(0, 4000))
def test_any_text_can_be_printed_and_encoded(text: str, times: int) -> None:
    failure = describe(ValueError(text * times))
    assert failure.error.isprintable()
    assert len(failure.error) <= 1000
    (failure.error + failure.traceback).encode()
    assert len(failure.traceback) <= 64_000


def test_a_line_names_the_last_frames_of_the_users_code_and_no_others() -> None:
    def outer() -> None:
        list(map(inner, [None]))

    def inner(value: Any) -> None:
        value.shape  # noqa: B018

    failure = describe(raised(outer))
    first = inner.__code__.co_firstlineno + 1
    places = f"{HERE}:{outer.__code__.co_firstlineno + 1} in outer, {HERE}:{first} in inner)"
    assert failure.error.startswith("AttributeError: 'NoneType' object has no attribute 'shape' (")
    assert failure.error.endswith(places)
    assert "Traceback (most recent call last)" in failure.traceback
    assert "value.shape" in failure.traceback


def test_an_error_in_a_library_is_placed_where_the_user_calls_it() -> None:
    def reads() -> None:
        import json

        json.loads("{")

    failure = describe(raised(reads))
    assert failure.place == f"JSONDecodeError at {HERE}:{reads.__code__.co_firstlineno + 3}"
    assert "json/decoder.py" in failure.traceback


def test_a_recursion_is_told_by_its_error_and_each_line_once() -> None:
    def again() -> None:
        again()

    failure = describe(raised(again))
    assert failure.error.startswith("RecursionError: maximum recursion depth exceeded")
    assert failure.error.count("in again") == 1
    assert "Previous line repeated" in failure.traceback


def test_an_error_of_ours_is_placed_where_the_users_error_was() -> None:
    def wraps() -> None:
        try:
            throw(KeyError("first"))
        except KeyError as error:
            without_frames = ValueError("second")
            without_frames.__cause__ = error
            raised.append(without_frames)

    raised: list[BaseException] = []
    wraps()
    assert describe(raised[0]).place.endswith(f"{HERE}:{throw.__code__.co_firstlineno + 1}")


def test_installed_packages_of_the_user_are_the_users() -> None:
    code = compile("def broken():\n    raise OSError('x')\n", "/usr/lib/python3/site-packages/their_net/net.py", "exec")
    scope: dict[str, Any] = {"__name__": "their_net.net"}
    exec(code, scope)
    broken: FunctionType = scope["broken"]
    assert "net.py" not in describe(raised(broken)).error
    assert describe(raised(broken), own=["their_net"]).place.endswith("their_net/net.py:2")


def test_clean_text_keeps_its_lines_and_letters() -> None:
    assert clean("ключ\n\tüber\r\n") == "ключ\n\tüber\n"
