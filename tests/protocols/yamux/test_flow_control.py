"""Windows: nobody sends more than the other end has room for."""

from __future__ import annotations

import tracemalloc

import pytest

from otelbridge.errors import LimitExceededError, ProtocolError
from otelbridge.protocols.yamux import DataReceived, Limits, Role, Session, StreamOpened
from tests.protocols.yamux.wire import (
    DATA,
    FIN,
    SYN,
    WINDOW_UPDATE,
    Frame,
    announce,
    data,
    received,
    sent,
    update,
)

WINDOW = 262_144


def serving(limits: Limits | None = None) -> Session:
    """Return a server's session with stream 1 open and nothing to tell."""
    server = Session(Role.SERVER, limits=limits or Limits(), now=0.0)
    received(server, update(1, flags=SYN))
    sent(server)
    return server


def test_a_peer_may_fill_the_window() -> None:
    server = serving()

    assert received(server, data(1, b"a" * WINDOW)) == [DataReceived(1, b"a" * WINDOW)]


def test_a_payload_over_the_window_is_refused_before_it_is_read() -> None:
    server = serving()
    received(server, data(1, b"a"))

    with pytest.raises(ProtocolError) as caught:
        server.receive_data(announce(1, WINDOW), now=0.0)

    assert caught.value.kind == "flow_control"
    assert str(caught.value) == "yamux payload of 262144 bytes, the window is 262143"


def test_a_payload_over_the_limit_of_a_frame_is_refused_before_it_is_read() -> None:
    server = serving(Limits(max_frame_bytes=64))

    with pytest.raises(ProtocolError) as caught:
        server.receive_data(announce(1, 65), now=0.0)

    assert caught.value.kind == "too_large"
    assert str(caught.value) == "yamux payload of 65 bytes, at most 64 are accepted"


def test_the_window_is_returned_when_half_of_it_is_consumed() -> None:
    server = serving(Limits(window_bytes=8))
    received(server, data(1, b"12345678"))

    server.acknowledge(1, 3)
    before = sent(server)
    server.acknowledge(1, 1)

    assert before == []
    assert sent(server) == [Frame(WINDOW_UPDATE, 0, 1, 4)]
    assert received(server, data(1, b"1234")) == [DataReceived(1, b"1234")]
    with pytest.raises(ProtocolError, match="payload of 1 bytes, the window is 0"):
        server.receive_data(data(1, b"1"), now=0.0)


def test_the_window_is_returned_again_and_again() -> None:
    server = serving(Limits(window_bytes=8))

    for _ in range(10):
        received(server, data(1, b"12345"))
        server.acknowledge(1, 5)

    assert sent(server) == [Frame(WINDOW_UPDATE, 0, 1, 5)] * 10


def test_no_window_is_returned_to_a_peer_that_sends_nothing_more() -> None:
    server = serving(Limits(window_bytes=8))
    received(server, data(1, b"12345678", FIN))

    server.acknowledge(1, 8)

    assert sent(server) == []


@pytest.mark.parametrize("size", [3, -1])
def test_no_more_can_be_acknowledged_than_came(size: int) -> None:
    server = serving()
    received(server, data(1, b"12"))

    with pytest.raises(ValueError, match=f"{size} bytes acknowledged"):
        server.acknowledge(1, size)


def test_data_over_the_window_waits_until_it_grows() -> None:
    server = serving(Limits(window_bytes=4))

    server.send_data(1, b"123456")
    server.send_data(1, b"789")
    first, waiting = sent(server), server.pending_bytes(1)
    received(server, update(1, 3))
    second = sent(server)
    received(server, update(1, 100))

    assert (first, waiting) == ([Frame(DATA, 0, 1, 4, b"1234")], 5)
    assert second == [Frame(DATA, 0, 1, 2, b"56"), Frame(DATA, 0, 1, 1, b"7")]
    assert sent(server) == [Frame(DATA, 0, 1, 2, b"89")]
    assert server.queued_bytes == 0


def test_data_that_waits_keeps_its_order() -> None:
    server = serving(Limits(window_bytes=1))
    for piece in (b"abcd", b"ef", b"g"):
        server.send_data(1, piece)

    for _ in range(10):
        received(server, update(1, 1))
        server.send_data(1, b".")

    assert b"".join(frame.payload for frame in sent(server)) == b"abcdefg...."


def test_a_stream_that_waits_holds_up_no_other() -> None:
    server = serving(Limits(window_bytes=4))
    received(server, update(3, flags=SYN))
    server.send_data(1, b"123456")
    sent(server)

    server.send_data(3, b"abc")

    assert sent(server) == [Frame(DATA, 0, 3, 3, b"abc")]


def test_a_window_may_grow_to_what_a_frame_can_name_and_no_further() -> None:
    server = serving()
    received(server, update(1, 2**32 - 1 - WINDOW))

    with pytest.raises(ProtocolError, match="window of 4294967296 bytes") as caught:
        server.receive_data(update(1, 1), now=0.0)

    assert caught.value.kind == "flow_control"


def test_a_payload_never_exceeds_a_message() -> None:
    server = serving()
    received(server, update(1, 10 * WINDOW))

    server.send_data(1, b"a" * (2 * WINDOW + 1))

    assert [frame.value for frame in sent(server)] == [WINDOW, WINDOW, 1]


def test_data_for_a_peer_that_does_not_read_is_refused_over_the_limit() -> None:
    server = serving(Limits(max_queued_bytes=100, window_bytes=50))
    server.send_data(1, b"a" * 70)

    with pytest.raises(LimitExceededError, match=r"19 bytes to send on top of 82 .* at most 100"):
        server.send_data(1, b"a" * 19)

    server.send_data(1, b"a" * 18)
    assert server.queued_bytes == 100


def test_what_was_taken_or_reset_is_not_counted_as_queued() -> None:
    server = serving(Limits(max_queued_bytes=100, window_bytes=50))
    server.send_data(1, b"a" * 70)

    sent(server)
    queued = server.queued_bytes
    server.reset_stream(1)
    sent(server)

    assert (queued, server.queued_bytes) == (20, 0)


def test_a_huge_payload_for_an_unknown_stream_is_dropped_as_it_comes() -> None:
    server = serving()
    piece = bytes(1024 * 1024)
    tracemalloc.start()

    received(server, announce(99, 64 * len(piece)), *(piece for _ in range(64)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < len(piece) / 4
    assert received(server, data(3, b"a", SYN)) == [StreamOpened(3), DataReceived(3, b"a")]


def test_a_payload_that_trickles_in_takes_its_own_size() -> None:
    server = serving()
    received(server, announce(1, WINDOW))
    tracemalloc.start()

    for _ in range(WINDOW // 2):
        server.receive_data(b"ab", now=0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert server.events_received() == [DataReceived(1, b"ab" * (WINDOW // 2))]
    assert peak < 4 * WINDOW
