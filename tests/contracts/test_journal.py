"""What a journal promises, whether its lines are files of a folder or objects of a real S3 server."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.errors import LockLost, StoreFailed, SweepError
from orchestrator.journal import Journal, SessionJournal
from orchestrator.signals import Halt
from trainables.storage import delete_file, join, list_files, read_bytes, write_bytes

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path):
    return tmp_path / "journal" if request.param == "local" else join(request.getfixturevalue("s3_folder"), "journal")


def write(folder, numbers):
    journal = Journal(folder)
    for number in numbers:
        journal.append({"number": number})
    journal.close()


def numbers(folder):
    return [event["number"] for event in Journal(folder).read()]


def test_an_absent_journal_is_empty(folder):
    assert list(Journal(folder).read()) == []
    assert Journal(folder).paths() == []


def test_gives_back_any_event(folder):
    events = [{}, {"text": "é\n\r\u2028\x00\udc80", "none": None}, {"inner": [{"a": [1.5, float("inf")]}, True]}]
    journal = Journal(folder)
    for event in events:
        journal.append(event)
    assert list(Journal(folder).read()) == events


def test_writers_one_after_another_make_one_sequence(folder):
    for start in range(0, 9, 3):
        write(folder, range(start, start + 3))
    assert numbers(folder) == list(range(9))


def test_one_that_was_read_is_written_on(folder):
    write(folder, range(3))
    journal = Journal(folder)
    assert len(list(journal.read())) == 3
    journal.append({"number": 3})
    assert [event["number"] for event in journal.read()] == [0, 1, 2, 3]
    journal.append({"number": 4})
    assert numbers(folder) == [0, 1, 2, 3, 4]


def test_a_reader_meanwhile_sees_each_event_at_once_and_never_a_gap(folder):
    journal, seen, stop = Journal(folder), [], threading.Event()

    def read():
        while not stop.is_set():
            seen.append(numbers(folder))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(70):  # a merge of objects among them
            journal.append({"number": number})
            if number in (0, 30, 69):
                assert numbers(folder) == list(range(number + 1))
    finally:
        stop.set()
        reader.join()
    assert seen == sorted(seen)
    assert all(each == list(range(len(each))) for each in seen)


def test_an_append_that_fails_leaves_no_trace(folder):
    journal = Journal(folder)
    journal.append({"number": 0})
    with pytest.raises(TypeError):
        journal.append({"number": object()})
    journal.append({"number": 1})
    assert numbers(folder) == [0, 1]


class Interrupt(BaseException):
    pass


def test_an_append_that_is_interrupted_anywhere_loses_no_other(folder):
    armed = False

    def interrupt(*_):
        nonlocal armed
        if armed:
            armed = False
            raise Interrupt

    journal, acknowledged, interrupted = Journal(folder), [], 0
    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    try:
        for number in itertools.count():
            try:
                armed = number % 4 == 0
                journal.append({"number": number})
                armed = False
                acknowledged.append(number)
            except Interrupt:
                interrupted += 1
            if interrupted >= 5 and len(acknowledged) >= 5:
                break
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    journal.close()
    found = numbers(folder)
    assert found == sorted(set(found))
    assert set(acknowledged) <= set(found)


WRITER = """
import sys
from orchestrator.journal import Journal
journal = Journal(sys.argv[1])
for number in range(int(sys.argv[2]), 1_000_000):
    journal.append({"number": number})
    print(number, flush=True)
"""


def test_what_was_appended_outlives_a_killed_writer(folder):
    write(folder, range(5))
    command = [sys.executable, "-c", WRITER, str(folder), "5"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    first = [writer.stdout.readline() for _ in range(20)]
    writer.kill()
    acknowledged = [int(line) for line in (*first, *writer.communicate()[0].splitlines())]
    found = numbers(folder)
    # One more may have been written and not yet acknowledged.
    assert len(found) - 1 - acknowledged[-1] in (0, 1)
    write(folder, [len(found)])
    assert numbers(folder) == list(range(len(found) + 1))


def damage(place, text=b"number", by=b"nimber"):
    data = read_bytes(place)
    assert text in data
    write_bytes(place, by.join(data.rsplit(text, 1)))


def test_a_damaged_last_record_is_dropped_and_the_next_writer_goes_on(folder):
    write(folder, range(3))
    damage(Journal(folder).paths()[-1])
    assert numbers(folder) == [0, 1]
    write(folder, [2, 3])
    assert numbers(folder) == [0, 1, 2, 3]
    write(folder, [4])
    assert numbers(folder) == [0, 1, 2, 3, 4]


def test_damage_to_a_record_that_others_follow_is_reported_and_nothing_is_written_to_it(folder):
    write(folder, range(3))
    write(folder, range(3, 5))
    first = Journal(folder).paths()[0]
    damage(first)
    with pytest.raises(SweepError, match=r"00001\.jsonl.*: line 3 is damaged"):
        numbers(folder)
    with pytest.raises(SweepError, match="line 3 is damaged"):
        Journal(folder).append({"number": 5})


def test_a_file_that_is_missing_is_reported(folder):
    for start in range(3):
        write(folder, [start])
    delete_file(Journal(folder).paths()[1])
    with pytest.raises(SweepError, match=r"3(-00001)?\.jsonl.*: line 1 is record 3: record 2 should be there"):
        numbers(folder)


# Objects alone


def test_objects_are_merged_whatever_interrupts_it(s3_folder):
    journal = Journal(s3_folder)
    for number in range(50):
        journal.append({"number": number})
    parts = {name: read_bytes(join(s3_folder, name)) for name in list_files(s3_folder)}
    for number in range(50, 150):
        journal.append({"number": number})
    assert len(parts) == 50
    assert len(journal.paths()) == 2 + 150 - 2 * 64
    assert len(list_files(s3_folder)) == 2 + 150 - 2 * 64
    assert numbers(s3_folder) == list(range(150))
    for name, data in parts.items():
        write_bytes(join(s3_folder, name), data)
    assert numbers(s3_folder) == list(range(150))
    journal.close()
    assert len(journal.paths()) == 3
    assert numbers(s3_folder) == list(range(150))


def test_a_store_that_refuses_an_append_is_an_error_of_that_append(s3_folder):
    journal = Journal(s3_folder.replace("s3://tests/", "s3://no-such-bucket/"))
    with pytest.raises(StoreFailed, match="NO_SUCH_BUCKET"):
        journal.append({"number": 0})
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in s3_folder


@pytest.mark.parametrize("late", [1, 70])
def test_what_is_written_late_by_one_who_lost_the_run_is_not_read_and_said(folder, late):
    loser, winner = Journal(folder), Journal(folder)
    for number in range(3):
        loser.append({"number": number})
    winner.append({"number": 3})
    for _ in range(late):
        loser.append({"number": "late"})
    winner.append({"number": 4})
    expected = [{"number": number} for number in range(5)]
    assert list(Journal(folder).read()) == expected
    loser.close()
    winner.close()
    reader = Journal(folder)
    assert list(reader.read()) == expected
    assert any("records from 4 on were dropped: two processes were at work" in note for note in reader.notes)
    write(folder, [5])
    assert numbers(folder) == list(range(6))


def test_a_writer_that_begins_before_it_writes_comes_before_those_that_began_later(folder):
    first = SessionJournal(folder, list)
    first.begin()
    second = SessionJournal(folder, list)
    second.begin()
    for number in range(3):
        second.append({"number": number})
    first.append({"number": "lost"})  # as if a check had passed and the process had then stood still
    assert numbers(folder) == [0, 1, 2]


def test_what_is_no_file_of_the_journal_is_left_alone_and_said(folder):
    write(folder, range(2))
    for name in ("000001 (copy).jsonl", "notes.jsonl", "0001-00001 (1).jsonl"):
        write_bytes(join(folder, name), read_bytes(Journal(folder).paths()[0]))
    write(folder, [2])
    reader = Journal(folder)
    assert [event["number"] for event in reader.read()] == [0, 1, 2]
    assert len(reader.notes) == 3
    assert "000001 (copy).jsonl" in reader.notes[0]
    assert "is not a file of the journal and was not read" in reader.notes[0]


def test_an_event_is_acknowledged_only_while_the_lock_is_held_after_it_was_written(folder):
    checks = []

    def check():
        checks.append(True)
        if len(checks) == 4:
            raise LockLost("gone while it was written")

    journal = SessionJournal(folder, check)
    journal.append({"number": 0})
    with pytest.raises(Halt, match="gone while"):
        journal.append({"number": 1})
    with pytest.raises(Halt, match="gone while"):
        journal.append({"number": 2})
    assert numbers(folder) == [0, 1]


def test_what_keeps_an_event_out_of_a_sessions_journal_ends_the_session(s3_folder):
    lost = []

    def check():
        if lost:
            raise LockLost("gone")

    journal = SessionJournal(s3_folder, check)
    journal.append({"number": 0})
    lost.append(True)
    with pytest.raises(Halt) as halt:
        journal.append({"number": 1})
    assert isinstance(halt.value.reason, LockLost)
    journal.close()
    assert list_files(s3_folder) == ["0001-00001/0000000001.jsonl"]
    with pytest.raises(Halt) as halt:
        SessionJournal(s3_folder.replace("s3://tests/", "s3://no-such-bucket/"), list).append({"number": 0})
    assert isinstance(halt.value.reason, StoreFailed)
