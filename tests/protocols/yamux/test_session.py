"""What concerns a whole session: pings, going away, mistakes, the end."""

from __future__ import annotations

import pytest

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux import (
    INTERNAL_ERROR,
    DataReceived,
    GoAwayReceived,
    Limits,
    PongReceived,
    Role,
    Session,
    SessionEnded,
    StreamOpened,
)
from tests.protocols.yamux.wire import (
    ACK,
    GO_AWAY,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
    Frame,
    data,
    go_away,
    ping,
    received,
    sent,
    update,
)

TOLD = Frame(GO_AWAY, 0, 0, 1)


def test_a_ping_is_answered_with_its_token() -> None:
    server = Session(Role.SERVER, now=0.0)

    assert received(server, ping(0), ping(2**32 - 1)) == []
    assert sent(server) == [Frame(PING, ACK, 0, 0), Frame(PING, ACK, 0, 2**32 - 1)]


def test_the_answer_to_a_ping_tells_the_round_trip_once() -> None:
    server = Session(Role.SERVER, now=0.0)
    server.ping(now=1.0)
    (asked,) = sent(server)

    events = received(server, ping(asked.value, ACK), ping(asked.value, ACK), now=1.25)

    assert events == [PongReceived(0.25)]


def test_the_answer_to_an_older_ping_is_ignored() -> None:
    server = Session(Role.SERVER, now=0.0)
    server.ping(now=1.0)
    server.ping(now=2.0)
    first, second = sent(server)

    events = received(server, ping(first.value, ACK), ping(second.value, ACK), now=2.5)

    assert events == [PongReceived(0.5)]


def test_a_peer_that_goes_away_keeps_its_streams() -> None:
    server = Session(Role.SERVER, now=0.0)

    events = received(server, update(1, flags=SYN), go_away(), data(1, b"a"))

    assert events == [StreamOpened(1), GoAwayReceived(0), DataReceived(1, b"a")]
    assert not server.is_closed


@pytest.mark.parametrize("code", [1, 2, 3, 2**32 - 1])
def test_a_peer_that_goes_away_over_a_mistake_ends_the_session(code: int) -> None:
    server = Session(Role.SERVER, now=0.0)

    with pytest.raises(ProtocolError, match=f"gave up with code {code}") as caught:
        server.receive_data(go_away(code) + update(1, flags=SYN), now=0.0)

    assert caught.value.kind == "go_away"
    reason = f"yamux peer gave up with code {code}"
    assert server.events_received() == [GoAwayReceived(code), SessionEnded(reason)]
    assert sent(server) == []


def test_going_away_says_why() -> None:
    server = Session(Role.SERVER, now=0.0)

    server.go_away(INTERNAL_ERROR)

    assert sent(server) == [Frame(GO_AWAY, 0, 0, 2)]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("01", "yamux version 1, only 0 is known"),
        ("ff03", "yamux version 255, only 0 is known"),
        ("0004", "yamux frame type 4, at most 3 is known"),
        ("00ff", "yamux frame type 255, at most 3 is known"),
    ],
)
def test_unknown_versions_and_types_end_the_session(start: str, message: str) -> None:
    server = Session(Role.SERVER, now=0.0)

    with pytest.raises(ProtocolError, match=message) as caught:
        server.receive_data(bytes.fromhex(start).ljust(12, b"\0"), now=0.0)

    assert caught.value.kind == "framing"
    assert sent(server) == [TOLD]


def test_a_mistake_leaves_what_came_before_it() -> None:
    server = Session(Role.SERVER, now=0.0)

    with pytest.raises(ProtocolError) as caught:
        server.receive_data(data(1, b"a", SYN) + bytes([1] * 12) + data(3, b"b", SYN), now=0.0)

    reason = "yamux version 1, only 0 is known"
    events = server.events_received()
    assert events == [StreamOpened(1), DataReceived(1, b"a"), SessionEnded(reason)]
    assert sent(server) == [Frame(WINDOW_UPDATE, ACK, 1, 0), TOLD]
    assert (server.is_closed, server.reason, server.error) == (True, reason, caught.value)


def test_a_session_that_is_over_does_nothing_more() -> None:
    client = Session(Role.CLIENT, limits=Limits(window_bytes=1), now=0.0)
    client.send_data(client.open_stream(), b"abc")
    with pytest.raises(ProtocolError):
        client.receive_data(bytes([1] * 12), now=0.0)
    client.events_received(), client.data_to_send()

    client.send_data(1, b"a")
    client.ping(now=0.0)
    client.go_away()
    client.advance(1e9)
    client.receive_eof()

    assert received(client, data(1, b"a"), bytes([1] * 12)) == []
    assert sent(client) == []
    assert (client.can_open, client.stream_count, client.queued_bytes) == (False, 0, 0)
    assert client.next_deadline() is None


@pytest.mark.parametrize("cut", [0, 5, 12, 13])
def test_the_end_of_the_connection_ends_the_session_wherever_it_comes(cut: int) -> None:
    server = Session(Role.SERVER, now=0.0)
    received(server, update(1, flags=SYN), data(1, b"ab")[:cut])

    server.receive_eof()
    server.receive_eof()

    assert server.events_received() == [SessionEnded("the connection ended")]
    assert (server.is_closed, server.error, server.stream_count) == (True, None, 0)


@pytest.mark.parametrize(
    "asks",
    [
        [ping(7)] * 9,
        [update(stream_id, flags=SYN) for stream_id in range(1, 18, 2)],
        [update(stream_id, flags=SYN | RST) for stream_id in range(1, 18, 2)],
    ],
)
def test_a_peer_that_asks_and_does_not_read_ends_its_session(asks: list[bytes]) -> None:
    server = Session(Role.SERVER, limits=Limits(max_queued_replies=8, max_streams=4), now=0.0)

    received(server, *asks[:8])
    with pytest.raises(ProtocolError, match="asked for more than 8 replies") as caught:
        server.receive_data(asks[8], now=0.0)

    assert caught.value.kind == "flood"
    assert server.queued_bytes == 0


def test_a_peer_that_reads_may_ask_for_ever() -> None:
    server = Session(Role.SERVER, limits=Limits(max_queued_replies=8), now=0.0)

    for _ in range(100):
        received(server, ping(7) * 8)
        assert len(sent(server)) == 8
