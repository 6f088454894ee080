"""Streams end in one direction, in both, or at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux import (
    DataReceived,
    Limits,
    Role,
    Session,
    StreamEnded,
    StreamOpened,
    StreamReset,
)
from tests.protocols.yamux.wire import (
    ACK,
    DATA,
    FIN,
    RST,
    SYN,
    WINDOW_UPDATE,
    Frame,
    announce,
    data,
    received,
    sent,
    update,
)

FINISHED = Frame(WINDOW_UPDATE, FIN, 1, 0)
_SMALL = Limits(window_bytes=4)


def serving(limits: Limits = _SMALL) -> Session:
    """Return a server's session with stream 1 open and nothing to tell."""
    server = Session(Role.SERVER, limits=limits, now=0.0)
    received(server, update(1, flags=SYN))
    sent(server)
    return server


def calling(limits: Limits = _SMALL) -> Session:
    """Return a client's session with stream 1 open and nothing to tell."""
    client = Session(Role.CLIENT, limits=limits, now=0.0)
    client.open_stream()
    received(client, update(1, flags=ACK))
    sent(client)
    return client


def test_a_fin_may_ride_on_data_and_comes_after_it() -> None:
    server = serving()

    assert received(server, data(1, b"a", FIN)) == [DataReceived(1, b"a"), StreamEnded(1)]


@pytest.mark.parametrize("frame", [data(1, b"", FIN), update(1, 1, FIN)])
def test_a_fin_may_ride_on_anything(frame: bytes) -> None:
    assert received(serving(), frame) == [StreamEnded(1)]


def test_a_whole_stream_may_be_one_frame() -> None:
    server = Session(Role.SERVER, now=0.0)

    events = received(server, data(1, b"a", SYN | FIN))

    assert events == [StreamOpened(1), DataReceived(1, b"a"), StreamEnded(1)]


def test_a_server_holds_its_fin_until_the_client_s() -> None:
    server = serving()

    server.send_data(1, b"a")
    server.end_stream(1)
    before = sent(server)
    received(server, update(1, flags=FIN))

    assert before == [Frame(DATA, 0, 1, 1, b"a")]
    assert sent(server) == [FINISHED]
    assert server.stream_count == 0


def test_a_server_still_reads_after_it_has_ended_a_stream() -> None:
    server = serving()

    server.end_stream(1)

    assert received(server, data(1, b"a")) == [DataReceived(1, b"a")]


def test_a_client_sends_its_fin_at_once_and_still_reads() -> None:
    client = calling()

    client.end_stream(1)

    assert sent(client) == [FINISHED]
    assert received(client, data(1, b"a", FIN)) == [DataReceived(1, b"a"), StreamEnded(1)]
    assert client.stream_count == 0


def test_a_client_may_answer_a_fin() -> None:
    client = calling()
    received(client, update(1, flags=FIN))

    client.send_data(1, b"a")
    client.end_stream(1)

    assert sent(client) == [Frame(DATA, 0, 1, 1, b"a"), FINISHED]
    assert client.stream_count == 0


@pytest.mark.parametrize("start", [serving, calling])
def test_a_fin_waits_for_the_data_before_it(start: Callable[[], Session]) -> None:
    session = start()
    received(session, update(1, flags=FIN))
    session.send_data(1, b"123456")
    session.end_stream(1)

    first = sent(session)
    received(session, update(1, 9))

    assert first == [Frame(DATA, 0, 1, 4, b"1234")]
    assert sent(session) == [Frame(DATA, 0, 1, 2, b"56"), FINISHED]


@pytest.mark.parametrize("start", [serving, calling])
def test_no_fin_is_sent_twice(start: Callable[[], Session]) -> None:
    session = start()
    for _ in range(2):
        session.end_stream(1)
    received(session, update(1, 1), update(1, flags=FIN), update(1, 1))

    session.end_stream(1)

    assert sent(session) == [FINISHED]


def test_a_second_fin_is_a_mistake() -> None:
    server = serving()
    received(server, update(1, flags=FIN))

    with pytest.raises(ProtocolError, match="yamux stream 1 was ended before") as caught:
        server.receive_data(data(1, b"a", FIN), now=0.0)

    assert caught.value.kind == "sequence"


def test_data_after_a_fin_is_dropped_and_harms_no_other_stream() -> None:
    server = serving()

    events = received(server, update(1, flags=FIN), data(1, b"ab"), data(3, b"c", SYN))

    assert events == [StreamEnded(1), StreamOpened(3), DataReceived(3, b"c")]


def test_data_after_a_fin_counts_against_the_window() -> None:
    server = serving()
    received(server, update(1, flags=FIN), data(1, b"abc"))

    with pytest.raises(ProtocolError, match="payload of 2 bytes, the window is 1"):
        server.receive_data(data(1, b"de"), now=0.0)


def test_what_arrives_on_a_stream_that_has_ended_is_dropped() -> None:
    server = serving()
    received(server, update(1, flags=FIN))
    server.end_stream(1)

    late = (update(1, 9), data(1, b"a"), update(1, flags=FIN), update(1, flags=RST))

    assert received(server, *late) == []


@pytest.mark.parametrize("frame", [update(1, flags=RST), data(1, b"lost", RST)])
def test_a_reset_ends_both_directions(frame: bytes) -> None:
    server = serving()
    server.send_data(1, b"123456")

    events = received(server, frame, data(1, b"a"))

    assert events == [StreamReset(1)]
    assert (server.stream_count, server.pending_bytes(1)) == (0, 0)
    assert len(b"".join(server.data_to_send())) == server.queued_bytes + 12 + 4


def test_resetting_a_stream_drops_what_waits_and_what_still_comes() -> None:
    server = serving()
    server.send_data(1, b"123456")
    sent(server)

    server.reset_stream(1)
    server.reset_stream(1)

    assert sent(server) == [Frame(WINDOW_UPDATE, RST, 1, 0)]
    assert server.queued_bytes == 0
    assert received(server, data(1, b"1234"), data(1, b"1234"), update(1, flags=FIN)) == []


def test_a_stream_may_be_reset_while_a_payload_arrives() -> None:
    server = serving()
    received(server, announce(1, 4), b"ab")

    server.reset_stream(1)

    assert received(server, b"cd", data(3, b"e", SYN)) == [StreamOpened(3), DataReceived(3, b"e")]


def test_nothing_can_be_sent_on_a_stream_after_its_end() -> None:
    server = serving()
    server.end_stream(1)

    with pytest.raises(ValueError, match="stream 1 was ended"):
        server.send_data(1, b"a")


def test_nothing_happens_to_a_stream_that_is_gone() -> None:
    server = serving()
    server.reset_stream(1)
    sent(server)

    server.send_data(1, b"a")
    server.acknowledge(1, 1)
    server.end_stream(1)
    server.reset_stream(1)

    assert sent(server) == []
