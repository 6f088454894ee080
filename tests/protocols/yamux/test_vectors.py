"""Bytes that the Go implementation wrote, in both directions."""

from __future__ import annotations

from pathlib import Path

from otelbridge.protocols.yamux import (
    DataReceived,
    GoAwayReceived,
    PongReceived,
    Role,
    Session,
    StreamEnded,
    StreamOpened,
)
from tests.protocols.yamux.wire import received

_VECTORS = Path(__file__).parents[1] / "vectors/yamux.txt"


def writes(direction: str) -> list[bytes]:
    """Return what one end wrote: ``YC>S`` the client, ``YS>C`` the server."""
    lines = [line.split() for line in _VECTORS.read_text().splitlines()]
    return [bytes.fromhex(words[1]) for words in lines if words and words[0] == direction]


def test_a_server_understands_a_go_client() -> None:
    server = Session(Role.SERVER, now=0.0)

    events = received(server, *writes("YC>S"))

    assert events == [StreamOpened(1), DataReceived(1, b"hello"), StreamEnded(1)]


def test_a_server_writes_what_a_go_server_writes() -> None:
    server = Session(Role.SERVER, now=0.0)
    written = b""

    for piece in writes("YC>S"):
        for event in received(server, piece):
            if isinstance(event, DataReceived):
                server.send_data(event.stream_id, event.data.upper())
            elif isinstance(event, StreamEnded):
                server.end_stream(event.stream_id)
        written += b"".join(server.data_to_send())
    server.go_away()

    assert written + b"".join(server.data_to_send()) == b"".join(writes("YS>C"))


def test_a_client_understands_a_go_server() -> None:
    client = Session(Role.CLIENT, now=0.0)
    client.open_stream()
    client.ping(now=0.0)

    events = received(client, *writes("YS>C"), now=0.5)

    assert events == [
        DataReceived(1, b"HELLO"),
        StreamEnded(1),
        PongReceived(0.5),
        GoAwayReceived(0),
    ]


def test_a_client_writes_what_a_go_client_writes_in_the_same_messages() -> None:
    client = Session(Role.CLIENT, now=0.0)

    stream_id = client.open_stream()
    client.send_data(stream_id, b"hello")
    client.end_stream(stream_id)
    client.ping(now=0.0)

    assert client.data_to_send(joined=False) == writes("YC>S")
