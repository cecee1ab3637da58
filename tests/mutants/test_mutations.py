"""The mutation operators, on sources of a line or two."""

import pytest

from tests.mutants.mutations import mutants


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b < c", ["a = b <= c"]),
        ("a = b and c", ["a = b or c"]),
        ("a = not b", ["a = b"]),
        ("a = b * c", ["a = b / c"]),
        ("a = True", ["a = False"]),
        ("a = min(b)", ["a = max(b)"]),
        ("a += b", ["a = b"]),
        ("if a:\n    b = c", ["if not a:\n    b = c"]),
        ("f(a, key=b)", ["pass", "f(a)"]),
        ("if a == b:\n    raise E", ["if a != b:\n    raise E", "if a == b:\n    pass"]),
        ("def f():\n    return a", ["def f():\n    return None"]),
    ],
)
def test_each_operator_makes_its_faults(source: str, expected: list[str]) -> None:
    assert [mutant.source for mutant in mutants(source)] == expected


@pytest.mark.parametrize(
    "source", ['"""A docstring."""', "import a", "a: int", "a = f'{b + 1}'", "if TYPE_CHECKING:\n    import a"]
)
def test_what_no_test_can_notice_is_left_alone(source: str) -> None:
    assert not list(mutants(source))


def test_a_mutant_knows_its_line() -> None:
    assert [(mutant.line, mutant.change) for mutant in mutants("a = b\n\nc = d < 1")] == [
        (3, "d < 1  ->  d <= 1"),
        (3, "1  ->  2"),
    ]
