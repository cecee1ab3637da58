import json
from math import inf, nan
from pathlib import Path

import pytest

from benchmarks.common import Figure, make_parser, report


@pytest.mark.parametrize(
    ("figure", "wanted", "holds"),
    [
        (Figure(name="context", value=3), None, None),
        (Figure(name="share", value=0.9, at_least=0.9), ">= 0.9", True),
        (Figure(name="share", value=0.89, at_least=0.9), ">= 0.9", False),
        (Figure(name="ratio", value=0.51, at_most=0.5), "<= 0.5", False),
        (Figure(name="both", value=2, at_least=1, at_most=3), ">= 1 and <= 3", True),
        (Figure(name="unknown", value=nan, at_most=0.5), "<= 0.5", False),
        (Figure(name="never", value=inf, at_most=0.5), "<= 0.5", False),
    ],
)
def test_a_figure_knows_whether_it_is_as_wanted(figure: Figure, wanted: str | None, holds: bool | None) -> None:
    assert (figure.wanted, figure.holds) == (wanted, holds)


def test_figures_are_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_parser(None).parse_args(["--json", str(tmp_path / "new" / "figures.json")]).json
    figures = [Figure(name="share", value=0.95, unit="of time", at_least=0.9), Figure(name="never", value=inf)]
    assert report(figures, file)
    assert "holds" in capsys.readouterr().out
    document = json.loads(file.read_text())
    assert set(document) == {"command", "environment", "figures"}
    assert document["environment"]["versions"]["torch"]
    assert document["figures"] == [
        {"name": "share", "value": 0.95, "unit": "of time", "wanted": ">= 0.9", "holds": True},
        {"name": "never", "value": None, "unit": "", "wanted": None, "holds": None},
    ]


def test_tells_that_something_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert not report([Figure(name="a", value=1, at_most=2), Figure(name="b", value=3, at_most=2)], None)
    assert "does not hold" in capsys.readouterr().out
