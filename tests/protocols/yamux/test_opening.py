"""Streams are opened, accepted once, and refused over a limit."""

from __future__ import annotations

import pytest

from otelbridge.errors import LimitExceededError, ProtocolError, UnavailableError
from otelbridge.protocols.yamux import (
    DataReceived,
    Limits,
    Role,
    Session,
    StreamOpened,
    StreamReset,
)
from tests.protocols.yamux.wire import (
    ACK,
    FIN,
    RST,
    SYN,
    WINDOW_UPDATE,
    Frame,
    data,
    go_away,
    received,
    sent,
    update,
)


def accepted(stream_id: int) -> Frame:
    return Frame(WINDOW_UPDATE, ACK, stream_id, 0)


def refused(stream_id: int) -> Frame:
    return Frame(WINDOW_UPDATE, RST, stream_id, 0)


def test_a_stream_opened_by_a_window_update_is_accepted_once() -> None:
    server = Session(Role.SERVER, now=0.0)

    events = received(server, update(1, flags=SYN), data(1, b"a"))
    server.send_data(1, b"b")

    assert events == [StreamOpened(1), DataReceived(1, b"a")]
    assert [frame for frame in sent(server) if frame.flags & ACK] == [accepted(1)]


def test_a_stream_opened_by_data_has_its_data_at_once() -> None:
    server = Session(Role.SERVER, now=0.0)

    events = received(server, data(1, b"a", SYN))

    assert events == [StreamOpened(1), DataReceived(1, b"a")]
    assert sent(server) == [accepted(1)]


def test_the_window_named_by_a_syn_is_added_to_the_first_one() -> None:
    server = Session(Role.SERVER, limits=Limits(window_bytes=4), now=0.0)
    received(server, update(1, 3, SYN))

    server.send_data(1, b"12345678")

    assert [frame.payload for frame in sent(server)] == [b"", b"1234567"]
    assert server.pending_bytes(1) == 1


def test_streams_may_come_in_another_order_than_their_ids() -> None:
    server = Session(Role.SERVER, now=0.0)

    events = received(server, *(update(stream_id, flags=SYN) for stream_id in (5, 1, 9, 3, 7)))

    assert events == [StreamOpened(stream_id) for stream_id in (5, 1, 9, 3, 7)]


@pytest.mark.parametrize("flags", [0, FIN, RST])
def test_an_id_that_was_used_does_not_return(flags: int) -> None:
    server = Session(Role.SERVER, now=0.0)
    received(server, update(1, flags=SYN), update(1, flags=flags))
    server.end_stream(1)

    with pytest.raises(ProtocolError, match="yamux stream 1 was opened before") as caught:
        server.receive_data(update(1, flags=SYN), now=0.0)

    assert caught.value.kind == "sequence"


@pytest.mark.parametrize("stream_id", [0, 2])
def test_a_client_opens_odd_ids_only(stream_id: int) -> None:
    server = Session(Role.SERVER, now=0.0)

    with pytest.raises(ProtocolError, match=f"id {stream_id} is not for the peer to open"):
        server.receive_data(update(stream_id, flags=SYN), now=0.0)


@pytest.mark.parametrize("stream_id", [0, 1])
def test_a_server_opens_even_ids_only(stream_id: int) -> None:
    client = Session(Role.CLIENT, now=0.0)

    with pytest.raises(ProtocolError, match=f"id {stream_id} is not for the peer to open"):
        client.receive_data(update(stream_id, flags=SYN), now=0.0)


def test_a_client_refuses_a_server_s_streams() -> None:
    client = Session(Role.CLIENT, now=0.0)

    assert received(client, data(2, b"a", SYN)) == []
    assert sent(client) == [refused(2)]


def test_a_stream_over_the_limit_is_refused_alone() -> None:
    server = Session(Role.SERVER, limits=Limits(max_streams=2), now=0.0)

    events = received(server, *(data(stream_id, b"a", SYN) for stream_id in (1, 3, 5)))

    assert [event.stream_id for event in events if isinstance(event, StreamOpened)] == [1, 3]
    assert len(events) == 4
    assert sent(server) == [accepted(1), accepted(3), refused(5)]
    assert (server.stream_count, server.refused_streams) == (2, 1)


def test_what_follows_on_a_refused_stream_is_dropped() -> None:
    server = Session(Role.SERVER, limits=Limits(max_streams=1), now=0.0)
    received(server, update(1, flags=SYN), update(3, flags=SYN))
    sent(server)

    events = received(server, data(3, b"a"), update(3, 9), update(3, flags=FIN), data(1, b"b"))

    assert events == [DataReceived(1, b"b")]
    assert sent(server) == []


def test_an_ended_stream_makes_room_for_another() -> None:
    server = Session(Role.SERVER, limits=Limits(max_streams=1), now=0.0)
    received(server, update(1, flags=SYN), update(1, flags=FIN))

    server.end_stream(1)

    assert received(server, update(3, flags=SYN)) == [StreamOpened(3)]


def test_streams_over_the_backlog_are_refused_until_the_events_are_taken() -> None:
    server = Session(Role.SERVER, limits=Limits(accept_backlog=2), now=0.0)

    first = received(server, *(update(stream_id, flags=SYN) for stream_id in (1, 3, 5)))
    second = received(server, *(update(stream_id, flags=SYN) for stream_id in (7, 9, 11)))

    assert first + second == [StreamOpened(stream_id) for stream_id in (1, 3, 7, 9)]


def test_four_thousand_streams_open_at_once() -> None:
    server = Session(Role.SERVER, now=0.0)
    ids = range(1, 2 * 4096, 2)

    received(server, b"".join(data(stream_id, b"a", SYN) for stream_id in ids))

    assert sent(server) == [accepted(stream_id) for stream_id in ids]


def test_a_client_s_streams_have_odd_ids_and_a_syn_each() -> None:
    client = Session(Role.CLIENT, now=0.0)

    assert [client.open_stream() for _ in range(3)] == [1, 3, 5]
    assert sent(client) == [Frame(WINDOW_UPDATE, SYN, stream_id, 0) for stream_id in (1, 3, 5)]


def test_a_client_opens_no_more_streams_than_its_limit() -> None:
    client = Session(Role.CLIENT, limits=Limits(max_streams=1), now=0.0)
    client.open_stream()

    with pytest.raises(LimitExceededError, match="1 streams are open"):
        client.open_stream()


def test_a_client_stops_when_it_has_used_every_id() -> None:
    client = Session(Role.CLIENT, now=0.0)
    client._streams._next_id = 2**32 - 1  # noqa: SLF001  # 2,147,483,647 streams later

    assert client.open_stream() == 2**32 - 1
    with pytest.raises(UnavailableError, match="takes no new streams"):
        client.open_stream()


def test_a_server_opens_no_streams() -> None:
    with pytest.raises(UnavailableError, match="takes no new streams"):
        Session(Role.SERVER, now=0.0).open_stream()


def test_no_stream_is_opened_after_either_end_went_away() -> None:
    told, telling = Session(Role.CLIENT, now=0.0), Session(Role.CLIENT, now=0.0)

    received(told, go_away())
    telling.go_away()

    assert not told.can_open
    for client in (told, telling):
        with pytest.raises(UnavailableError, match="takes no new streams"):
            client.open_stream()


def test_a_server_that_went_away_refuses_streams() -> None:
    server = Session(Role.SERVER, now=0.0)
    received(server, update(1, flags=SYN))
    server.go_away()
    sent(server)

    events = received(server, update(3, flags=SYN), data(1, b"a"))

    assert events == [DataReceived(1, b"a")]
    assert sent(server) == [refused(3)]


def test_a_refused_stream_is_told_to_the_client() -> None:
    client = Session(Role.CLIENT, now=0.0)
    client.open_stream()

    assert received(client, update(1, flags=RST)) == [StreamReset(1)]
    assert client.stream_count == 0


def test_an_ack_may_ride_on_the_answer() -> None:
    client = Session(Role.CLIENT, now=0.0)
    client.open_stream()

    assert received(client, data(1, b"a", ACK)) == [DataReceived(1, b"a")]


def test_a_second_ack_is_a_mistake() -> None:
    client = Session(Role.CLIENT, now=0.0)
    client.open_stream()
    received(client, update(1, flags=ACK))

    with pytest.raises(ProtocolError, match="yamux stream 1 awaits no ACK"):
        client.receive_data(update(1, flags=ACK), now=0.0)


def test_an_ack_of_the_client_s_own_stream_is_a_mistake() -> None:
    server = Session(Role.SERVER, now=0.0)
    received(server, update(1, flags=SYN))

    with pytest.raises(ProtocolError, match="yamux stream 1 awaits no ACK"):
        server.receive_data(update(1, flags=ACK), now=0.0)
