"""The journal gives back what was written, and knows what it cannot give back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import SweepError
from orchestrator.journal import Journal, decode, encode

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
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


@given(st.integers(1, 10**9), events)
def test_a_line_holds_a_number_and_its_event(number, event):
    assert decode(encode(number, event).removesuffix(b"\n")) == (number, event)


@given(st.integers(1, 10**9), events, st.data())
def test_a_changed_line_is_known_as_damaged(number, event, data):
    line = bytearray(encode(number, event).removesuffix(b"\n"))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(line)) is None


def written(folder: Path, count: int) -> Path:
    journal = Journal(folder)
    for number in range(count):
        journal.append({"number": number})
    journal.close()
    return journal.paths()[-1]


@pytest.mark.parametrize("missing", [1, 2, 10, 20])
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


# Any byte of the last kilobyte: flipped, taken out, or the end from there on cut off


@pytest.fixture(scope="module")
def kilobyte(tmp_path_factory):
    """A journal whose last file ends with more than a kilobyte of records, the last of them beginning at `last`."""
    folder = tmp_path_factory.mktemp("whole")
    journal = Journal(folder)
    for number in range(12):
        journal.append({"number": number, "text": "é" * (7 * number % 23)})
    journal.close()
    (path,) = journal.paths()
    data = path.read_bytes()
    assert len(data) > 1024
    return data, data.rindex(b"\n", 0, -1) + 1


def harm(data, place, how, mask):
    if how == "cut":
        return data[:place]
    changed = {"flip": bytes([data[place] ^ mask]), "split": b"\n", "take": b""}[how]
    return data[:place] + changed + data[place + 1 :]


def read_numbers(folder, data):
    """The numbers that a journal of this one file gives, and its error."""
    path = folder / "000001.jsonl"
    path.unlink(missing_ok=True)  # some file systems wait for the disk when a file is overwritten
    path.write_bytes(data)
    found = []
    try:
        for event in Journal(folder).read():
            found.append(event["number"])
    except SweepError as error:
        return found, str(error)
    return found, ""


def check_harm(folder, kilobyte, place, how, mask=1):
    whole, last = kilobyte
    harmed = harm(whole, place, how, mask)
    count, before = whole.count(b"\n"), whole.count(b"\n", 0, place)
    found, error = read_numbers(folder, harmed)
    assert found == list(range(len(found)))
    if harmed == whole:
        assert (len(found), error) == (count, "")
    elif how == "cut":
        # What was cut off is gone; what is there whole is read, even without its line end.
        assert (len(found), error) == (before + (whole[place : place + 1] == b"\n"), "")
    elif place >= last:
        assert len(found) >= count - 1
        assert error == ""
    else:
        assert len(found) == before
        assert f"000001.jsonl: line {before + 1} " in error


@pytest.mark.parametrize("how", ["flip", "split", "take", "cut"])
def test_harm_to_any_byte_loses_at_most_the_last_record_or_is_reported_with_its_place(tmp_path, kilobyte, how):
    for place in range(len(kilobyte[0]) - 1024, len(kilobyte[0])):
        check_harm(tmp_path, kilobyte, place, how)


@given(st.integers(1, 1024), st.integers(1, 255))
@settings(max_examples=400)
def test_harm_by_any_value_loses_at_most_the_last_record_or_is_reported(tmp_path_factory, kilobyte, back, mask):
    check_harm(tmp_path_factory.getbasetemp(), kilobyte, len(kilobyte[0]) - back, "flip", mask)


@pytest.mark.parametrize("how", ["flip", "split", "take", "cut"])
def test_harm_to_any_byte_of_an_earlier_file_is_reported(tmp_path, kilobyte, how):
    whole, _ = kilobyte
    read_numbers(tmp_path, whole)
    journal = Journal(tmp_path)
    journal.append({"number": 12})
    journal.close()
    for place in range(len(whole) - 1024, len(whole)):
        found, error = read_numbers(tmp_path, harm(whole, place, how, 1))
        if not error:
            # Nothing was lost: a line end is missing at the file's end, or was one already.
            assert found == list(range(13))
        else:
            assert found == list(range(len(found)))
            assert "00000" in error
            assert "line" in error


def test_a_block_of_zeros_at_the_end_is_one_torn_record(tmp_path, kilobyte):
    found, error = read_numbers(tmp_path, kilobyte[0] + bytes(512))
    assert (len(found), error) == (12, "")


@pytest.mark.parametrize("lines", [1, 3])
def test_lines_that_became_zeros_are_said(tmp_path, kilobyte, lines):
    whole = kilobyte[0]
    start = [place for place, byte in enumerate(whole) if byte == 10][-1 - lines] + 1
    (tmp_path / "000001.jsonl").write_bytes(whole[:start] + bytes(len(whole) - start))
    journal = Journal(tmp_path)
    assert [event["number"] for event in journal.read()] == list(range(12 - lines))
    (note,) = journal.notes
    assert f"{len(whole) - start} damaged bytes after record {12 - lines} were dropped" in note


def test_a_line_that_a_kill_has_torn_is_not_worth_a_word(tmp_path, kilobyte):
    (tmp_path / "000001.jsonl").write_bytes(kilobyte[0][:-5])
    journal = Journal(tmp_path)
    assert len(list(journal.read())) == 11
    assert journal.notes == []


def test_a_line_is_on_the_disk_before_it_is_acknowledged(tmp_path, monkeypatch):
    calls = []
    for name in ("write", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args))[1])
    journal = Journal(tmp_path)
    journal.append({"number": 0})
    assert calls[-2:] == ["write", "fdatasync"]


def test_two_damaged_records_at_the_end_are_too_many_to_drop(tmp_path, kilobyte):
    whole, last = kilobyte
    harmed = harm(harm(whole, last + 20, "flip", 1), last - 20, "flip", 1)
    assert "line 11 is damaged" in read_numbers(tmp_path, harmed)[1]


def test_a_line_that_does_not_belong_there_is_reported(tmp_path, kilobyte):
    whole, last = kilobyte
    found, error = read_numbers(tmp_path, whole[:last] + b"something else\n" + whole[last:])
    assert (len(found), error.split(":")[1]) == (11, " line 12 is damaged")


# A full disk

FILL = """
import sys
from pathlib import Path
from orchestrator.errors import DiskFull
from orchestrator.journal import Journal
folder = Path(sys.argv[1])
filler = folder.parent / "filler"
filler.write_bytes(bytes(40_000))
journal, written, errors = Journal(folder), 0, []
while len(errors) < 4:
    try:
        journal.append({"number": written, "text": "x" * 3000})
        written += 1
    except DiskFull as error:
        errors.append(str(error))
        if len(errors) == 2:
            filler.unlink()
        assert [event["number"] for event in Journal(folder).read()] == list(range(written))
assert len(journal.paths()) == 1
assert journal.paths()[0].read_bytes().endswith(b"\\n")
print(written, *sorted(set(errors)), sep="|")
"""


def test_a_full_disk_leaves_the_journal_as_it_was_until_there_is_room(tmp_path):
    # A file system of its own in a mount namespace of its own, which ends with the process.
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["sh", "-c", 'mount -t tmpfs -o size=96k none "$0" && "$@"', str(disk)]
    if not shutil.which("unshare") or subprocess.run([*own, *mount, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    script = [sys.executable, "-c", FILL, str(disk / "journal")]
    done = subprocess.run(
        [*own, *mount, *script], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stderr
    written, *errors = done.stdout.strip().split("|")
    assert int(written) > 25
    assert errors == [f"{disk / 'journal'}: No space left on device"]
