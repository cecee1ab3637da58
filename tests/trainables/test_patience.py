"""A store that is silent, slow or breaks off, behind a real socket, costs a bounded time."""

import socket
import threading

import pytest

from trainables import patience
from trainables.patience import hurry
from trainables.storage import StoreError, exists, read_bytes, write_bytes


@pytest.fixture
def silent_store():
    """The URI of a folder in a store that accepts connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []

    def accept():
        while True:
            try:
                kept.append(listener.accept())
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    port = listener.getsockname()[1]
    yield f"s3://tests/run?endpoint_override=127.0.0.1:{port}&scheme=http&region=x"
    listener.close()
    for connection, _ in kept:
        connection.close()


@pytest.mark.parametrize("ask", [exists, read_bytes, lambda place: write_bytes(place, b"data")])
def test_a_store_that_never_answers_is_given_up(silent_store, monkeypatch, ask):
    monkeypatch.setattr(patience, "ANSWER_S", 0.5)
    with pytest.raises(StoreError, match=r"s3://tests/run.*: no answer for"):
        ask(silent_store)


def test_when_the_process_is_to_end_no_request_is_waited_for(silent_store):
    hurry(0.3)
    try:
        for _ in range(3):
            with pytest.raises(StoreError, match="no answer"):
                exists(silent_store)
    finally:
        patience.end_hurry()


def test_progress_counts_the_limit_from_anew():
    ticks = threading.Event()

    def work(request):
        for _ in range(5):
            ticks.wait(0.15)
            request.progress()
        return "whole"

    assert patience.Request(work, 0.6).result() == "whole"


def test_what_a_request_raises_is_raised():
    def work(request):
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        patience.Request(work, 5).result()
