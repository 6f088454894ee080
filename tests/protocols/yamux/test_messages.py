"""What one turn has to send leaves in few messages, none of them too large."""

from __future__ import annotations

import pytest

from otelbridge.protocols.yamux import MAX_MESSAGE_BYTES, Limits, Role, Session
from tests.protocols.yamux.wire import SYN, data, ping, received, update

_WIDE = Limits(window_bytes=2**20)


def test_nothing_to_send_is_no_message() -> None:
    server = Session(Role.SERVER, now=0.0)

    assert server.data_to_send() == []
    assert server.data_to_send(joined=False) == []


def test_a_turn_leaves_in_one_message() -> None:
    server = Session(Role.SERVER, now=0.0)
    received(server, *(data(stream_id, b"a", SYN) for stream_id in (1, 3, 5)), ping(1))
    for stream_id in (1, 3, 5):
        server.send_data(stream_id, b"b")

    (message,) = server.data_to_send()

    assert len(message) == 3 * 12 + 12 + 3 * 13
    assert server.data_to_send() == []


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (MAX_MESSAGE_BYTES - 24, [MAX_MESSAGE_BYTES]),
        (MAX_MESSAGE_BYTES - 23, [MAX_MESSAGE_BYTES, 1]),
        (2 * MAX_MESSAGE_BYTES, [MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES, 36]),
    ],
)
def test_a_message_is_at_most_262144_bytes(size: int, lengths: list[int]) -> None:
    client = Session(Role.CLIENT, limits=_WIDE, now=0.0)
    client.send_data(client.open_stream(), b"a" * size)

    assert [len(message) for message in client.data_to_send()] == lengths


def test_apart_each_header_and_each_payload_is_a_message() -> None:
    client = Session(Role.CLIENT, limits=Limits(window_bytes=3), now=0.0)
    client.send_data(client.open_stream(), b"abcde")

    messages = client.data_to_send(joined=False)

    assert messages == [update(1, flags=SYN), data(1, b"abc")[:12], b"abc"]
    assert client.queued_bytes == 2
