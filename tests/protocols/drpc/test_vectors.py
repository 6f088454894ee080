"""Our bytes are the Go implementation's, and its bytes are understood, in both roles."""

from __future__ import annotations

import pytest

from otelbridge.protocols.drpc import (
    CallCancelled,
    CallEnded,
    CallFailed,
    CancelReason,
    ClientTransport,
    InputEnded,
    Invoked,
    MessageReceived,
    ServerTransport,
)
from otelbridge.protocols.drpc.metadata import decode_metadata, encode_metadata
from otelbridge.protocols.drpc.wire import (
    Kind,
    decode_error,
    encode_error,
    encode_packet,
    read_varint,
    varint,
)
from tests.protocols.drpc.vectors import CALLS, ENCODINGS

# What each call of the vectors was, at the client: name, metadata, and what came back.
REQUEST = b"\x0a\x03abc"
UNARY = {
    "unary ok": ("/proto.Recorder/RecordInterception", {}, None),
    "unary ok + metadata": ("/proto.Recorder/RecordInterception", {"k": "v"}, None),
    "unary error": ("/proto.Authorizer/IsAuthorized", {}, (0, "unknown key")),
    "unary coded error": ("/proto.Recorder/Coded", {}, (12, "Unimplemented")),
    "unknown rpc": ("/unknown", {}, (0, 'protocol error: unknown rpc: "/unknown"')),
}
TRACEPARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
WATCH = "/proto.ProviderConfigurator/WatchAIProviders"


def test_every_call_of_the_vectors_is_tested() -> None:
    assert set(CALLS) == {*UNARY, "server stream"}
    assert all(call.client and call.server for call in CALLS.values())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("frame-invoke", encode_packet(Kind.INVOKE, 1, 1, b"/x")),
        ("frame-cancel-control", encode_packet(Kind.CANCEL, 1, 4, is_control=True)),
        ("varint-300", varint(300)),
        ("varint-2^32", varint(1 << 32)),
        ("error", encode_error(0, "unknown key")),
        ("error12", encode_error(12, "Unimplemented")),
        ("metadata", encode_metadata(TRACEPARENT)),
    ],
)
def test_each_encoding_is_as_go_writes_it(name: str, data: bytes) -> None:
    assert data == ENCODINGS[name]


def test_each_encoding_of_go_is_read() -> None:
    assert read_varint(ENCODINGS["varint-300"], 0) == (300, 2)
    assert read_varint(ENCODINGS["varint-2^32"], 0) == (1 << 32, 5)
    assert decode_error(ENCODINGS["error"]) == (0, "unknown key")
    assert decode_error(ENCODINGS["error12"]) == (12, "Unimplemented")
    assert decode_metadata(ENCODINGS["metadata"]) == TRACEPARENT


@pytest.mark.parametrize("name", UNARY)
def test_a_unary_call_is_served_byte_for_byte(name: str) -> None:
    call, (rpc, metadata, error) = CALLS[name], UNARY[name]
    server = ServerTransport()

    server.receive_data(call.client[0])
    assert server.events_received() == [
        Invoked(1, rpc, metadata),
        MessageReceived(1, REQUEST),
        InputEnded(1),
    ]
    if error is None:
        server.send_message(1, b"OK")
        server.send_close(1)
    else:
        server.send_error(1, *error)
    for late in call.client[1:]:  # Close, which the client sends when it has the message
        server.receive_data(late)

    assert server.data_to_send() == b"".join(call.server)
    assert server.events_received() == []


@pytest.mark.parametrize("name", UNARY)
def test_a_unary_call_is_made_byte_for_byte(name: str) -> None:
    call, (rpc, metadata, error) = CALLS[name], UNARY[name]
    client = ClientTransport()

    call_id = client.invoke(rpc, metadata=metadata)
    client.send_message(call_id, REQUEST)
    client.send_close(call_id)
    written = [client.data_to_send()]
    client.receive_data(call.server[0])
    events = client.events_received()
    client.close(call_id)
    written += filter(None, [client.data_to_send()])

    assert written == call.client
    assert events == [CallFailed(1, *error) if error else MessageReceived(1, b"OK")]
    for late in call.server[1:]:  # CloseSend, after our Close
        client.receive_data(late)
    assert client.events_received() == []


def test_a_close_that_comes_before_our_close_send_is_harmless() -> None:
    call = CALLS["unary ok"]
    server = ServerTransport()

    server.receive_data(call.client[0])
    server.send_message(1, b"OK")
    server.receive_data(call.client[1])
    server.send_close(1)

    assert server.events_received()[3:] == [CallCancelled(1, CancelReason.CLOSE)]
    assert server.data_to_send() == call.server[0]


def test_a_server_stream_is_served_byte_for_byte() -> None:
    call = CALLS["server stream"]
    server = ServerTransport()

    server.receive_data(b"".join(call.client))
    server.send_message(1, b"")
    server.send_message(1, b"")
    server.send_close(1)

    assert server.events_received() == [
        Invoked(1, WATCH, {}),
        MessageReceived(1, b""),
        InputEnded(1),
    ]
    assert server.data_to_send() == b"".join(call.server)


def test_a_server_stream_is_read_and_written_byte_for_byte() -> None:
    call = CALLS["server stream"]
    client = ClientTransport()

    call_id = client.invoke(WATCH)
    client.send_message(call_id, b"")
    client.send_close(call_id)
    client.receive_data(b"".join(call.server))
    client.close(call_id)

    assert client.data_to_send() == b"".join(call.client)
    assert client.events_received() == [
        MessageReceived(1, b""),
        MessageReceived(1, b""),
        CallEnded(1),
    ]
