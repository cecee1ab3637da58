"""The journal gives back what was written, and knows what it cannot give back."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import SweepError
from orchestrator.journal import Journal, decode, encode

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
events = st.dictionaries(st.text(min_size=1), values, max_size=4)


@given(st.lists(events, max_size=6))
@settings(max_examples=40, deadline=None)
def test_gives_back_all_events_in_order(tmp_path_factory, written):
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    for event in written:
        journal.append(event)
    assert list(Journal(folder).read()) == written
    journal.close()


@given(events, st.data())
def test_a_changed_line_is_known_as_damaged(event, data):
    line = bytearray(encode(event).rstrip(b"\n"))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(line)) is None


def written(folder: Path, count: int) -> Path:
    journal = Journal(folder)
    for number in range(count):
        journal.append({"number": number})
    journal.close()
    return journal.paths()[-1]


@pytest.mark.parametrize("missing", [1, 2, 10, 18])
def test_a_torn_last_line_is_dropped(tmp_path, missing):
    path = written(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-missing])
    assert [event["number"] for event in Journal(tmp_path).read()] == ([0, 1, 2] if missing == 1 else [0, 1])


def test_a_writer_after_a_torn_line_loses_nothing(tmp_path):
    path = written(tmp_path, 2)
    path.write_bytes(path.read_bytes()[:-3])
    written(tmp_path, 2)
    assert [event["number"] for event in Journal(tmp_path).read()] == [0, 0, 1]


def test_damage_in_the_middle_is_reported_with_its_place(tmp_path):
    path = written(tmp_path, 3)
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"1", b"7")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(SweepError, match=r"000001\.jsonl: line 2 is damaged"):
        list(Journal(tmp_path).read())


def test_an_absent_journal_is_empty(tmp_path):
    assert list(Journal(tmp_path / "none").read()) == []
