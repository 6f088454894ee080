"""The server's end, call by call."""

from __future__ import annotations

import pytest

from otelbridge.errors import LimitExceededError, ProtocolError
from otelbridge.protocols.drpc import (
    CallCancelled,
    CancelReason,
    InputEnded,
    Invoked,
    Limits,
    MessageReceived,
    ServerEvent,
    ServerTransport,
    TransportEnded,
)
from otelbridge.protocols.drpc.metadata import encode_metadata
from otelbridge.protocols.drpc.wire import Kind
from tests.protocols.drpc.frames import RPC, call, frame

INVOKE = frame(Kind.INVOKE, 1, 1, RPC.encode())
CANCELLING = [
    (Kind.CANCEL, CancelReason.CANCEL),
    (Kind.CLOSE, CancelReason.CLOSE),
    (Kind.ERROR, CancelReason.ERROR),
]


def fed(*pieces: bytes, limits: Limits | None = None) -> ServerTransport:
    server = ServerTransport(limits=limits or Limits())
    for piece in pieces:
        server.receive_data(piece)
    return server


def events(*pieces: bytes) -> list[ServerEvent]:
    return fed(*pieces).events_received()


def unary(call_id: int) -> list[ServerEvent]:
    return [Invoked(call_id, RPC, {}), MessageReceived(call_id, b"request"), InputEnded(call_id)]


def test_events_are_told_once_and_bytes_are_written_once() -> None:
    server = fed(call())
    server.send_close(1)

    assert len(server.events_received()) == 3
    assert server.events_received() == []
    assert server.data_to_send() == frame(Kind.CLOSE_SEND, 1, 1)
    assert server.data_to_send() == b""


def test_calls_follow_one_another_and_each_counts_its_packets() -> None:
    server = ServerTransport()

    for call_id in (1, 2, 7):
        server.receive_data(call(call_id))
        assert server.events_received() == unary(call_id)
        server.send_message(call_id, b"answer")
        server.send_close(call_id)
        assert server.data_to_send() == (
            frame(Kind.MESSAGE, call_id, 1, b"answer") + frame(Kind.CLOSE_SEND, call_id, 2)
        )


def test_a_call_may_have_any_number_of_messages() -> None:
    data = INVOKE + b"".join(frame(Kind.MESSAGE, 1, n, bytes((n,))) for n in range(2, 9))

    assert events(data)[1:] == [MessageReceived(1, bytes((n,))) for n in range(2, 9)]


def test_a_name_that_is_no_utf_8_is_told_with_replacements() -> None:
    assert events(frame(Kind.INVOKE, 1, 1, b"/a\xff")) == [Invoked(1, "/a\ufffd", {})]


def test_metadata_is_told_with_its_call_alone() -> None:
    pairs = {"traceparent": "00-1-2-01", "baggage": "a=b", "other": "kept"}
    data = (
        frame(Kind.INVOKE_METADATA, 1, 1, encode_metadata(pairs))
        + frame(Kind.INVOKE, 1, 2, b"/a")
        + frame(Kind.CANCEL, 1, 3)
        + frame(Kind.INVOKE, 2, 1, b"/b")
    )

    told = [event for event in events(data) if isinstance(event, Invoked)]
    assert told == [Invoked(1, "/a", pairs), Invoked(2, "/b", {})]


def test_metadata_of_another_stream_is_dropped() -> None:
    metadata = frame(Kind.INVOKE_METADATA, 1, 1, encode_metadata({"k": "v"}))

    assert events(metadata, call(2)) == unary(2)


def test_the_last_metadata_before_an_invoke_counts() -> None:
    data = b"".join(
        frame(Kind.INVOKE_METADATA, 1, n, encode_metadata({"n": str(n)})) for n in (1, 2)
    )

    assert events(data + frame(Kind.INVOKE, 1, 3, b"/a")) == [Invoked(1, "/a", {"n": "2"})]


@pytest.mark.parametrize(("kind", "reason"), CANCELLING)
@pytest.mark.parametrize("request_data", [INVOKE, call()])
def test_a_client_may_end_an_open_call_at_any_time(
    kind: Kind, reason: CancelReason, request_data: bytes
) -> None:
    server = fed(request_data)
    server.events_received()

    server.receive_data(frame(kind, 1, 9) + frame(Kind.MESSAGE, 1, 10))
    server.send_message(1, b"late")
    server.send_error(1, 0, "late")
    server.send_close(1)

    assert server.events_received() == [CallCancelled(1, reason)]
    assert server.data_to_send() == b""


@pytest.mark.parametrize(("kind", "_reason"), CANCELLING)
@pytest.mark.parametrize("is_failed", [True, False])
def test_what_comes_after_the_answer_is_ignored(
    kind: Kind, _reason: CancelReason, is_failed: bool
) -> None:
    server = fed(INVOKE)
    server.events_received()
    if is_failed:
        server.send_error(1, 0, "failed")
    else:
        server.send_close(1)

    server.receive_data(frame(Kind.MESSAGE, 1, 2) + frame(Kind.CLOSE_SEND, 1, 3))
    server.receive_data(frame(kind, 1, 4) + frame(Kind.INVOKE, 1, 5))

    assert server.events_received() == []


def test_an_answered_call_says_nothing_more() -> None:
    server = fed(call())
    server.send_error(1, 12, "Unimplemented")
    server.data_to_send()

    server.send_message(1, b"more")
    server.send_close(1)
    server.send_error(1, 0, "again")

    assert server.data_to_send() == b""


@pytest.mark.parametrize("call_id", [0, 1, 2])
def test_a_call_that_is_not_open_is_not_answered(call_id: int) -> None:
    server = ServerTransport()

    server.send_message(call_id, b"")
    server.send_close(call_id)
    server.send_error(call_id, 0, "")

    assert server.data_to_send() == b""


def test_an_answer_to_an_earlier_call_does_not_reach_the_next() -> None:
    server = fed(call(1), call(2))

    server.send_message(1, b"late")
    server.send_close(1)

    assert server.data_to_send() == b""


def test_the_end_of_the_stream_cancels_the_open_call_and_undoes_nothing() -> None:
    server = fed(call())
    server.receive_eof()

    assert server.events_received() == [
        *unary(1),
        CallCancelled(1, CancelReason.EOF),
        TransportEnded(),
    ]
    assert server.is_ended


def test_the_end_of_the_stream_after_the_answer_is_only_that() -> None:
    server = fed(call())
    server.events_received()
    server.send_close(1)

    server.receive_eof()
    server.receive_eof()
    server.receive_data(call(2))

    assert server.events_received() == [TransportEnded()]


def test_a_packet_cut_short_by_the_end_of_the_stream_is_dropped() -> None:
    server = fed(INVOKE, frame(Kind.MESSAGE, 1, 2, b"half")[:-1])
    server.receive_eof()

    assert server.events_received() == [
        Invoked(1, RPC, {}),
        CallCancelled(1, CancelReason.EOF),
        TransportEnded(),
    ]


@pytest.mark.parametrize(
    "data",
    [
        frame(Kind.INVOKE, 2, 1, RPC.encode()),
        frame(Kind.INVOKE_METADATA, 2, 1),
        frame(Kind.CANCEL, 2, 1),
    ],
)
def test_a_client_that_goes_on_to_another_stream_gives_the_open_call_up(data: bytes) -> None:
    assert events(INVOKE, data)[1] == CallCancelled(1, CancelReason.SUPERSEDED)


@pytest.mark.parametrize(("kind", "_reason"), CANCELLING)
def test_a_call_given_up_before_its_invoke_is_none(kind: Kind, _reason: CancelReason) -> None:
    metadata = frame(Kind.INVOKE_METADATA, 1, 1, encode_metadata({"k": "v"}))
    late = frame(Kind.INVOKE, 1, 3, b"/a") + frame(Kind.MESSAGE, 1, 4)

    assert events(metadata + frame(kind, 1, 2) + late + call(2)) == unary(2)


def test_input_after_its_end_is_ignored() -> None:
    late = frame(Kind.MESSAGE, 1, 4) + frame(Kind.CLOSE_SEND, 1, 5)

    assert events(call() + late) == unary(1)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (frame(Kind.MESSAGE, 1, 1), "drpc MESSAGE before its INVOKE"),
        (frame(Kind.CLOSE_SEND, 1, 1), "drpc CLOSE_SEND before its INVOKE"),
        (INVOKE + frame(Kind.INVOKE, 1, 2), "drpc INVOKE in an open call"),
        (call() + frame(Kind.INVOKE, 1, 4), "drpc INVOKE in an open call"),
        (INVOKE + frame(Kind.INVOKE_METADATA, 1, 2), "drpc INVOKE_METADATA in an open call"),
        (INVOKE + frame(Kind.MESSAGE, 2, 1), "drpc MESSAGE before its INVOKE"),
    ],
)
def test_packets_out_of_their_order_are_an_error(data: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        fed(data)

    assert (raised.value.kind, str(raised.value)) == ("sequence", problem)


def test_what_came_before_a_mistake_is_told_then_the_end() -> None:
    server = ServerTransport()

    with pytest.raises(ProtocolError):
        server.receive_data(call() + frame(9, 1, 4) + frame(Kind.CANCEL, 1, 5))

    assert server.events_received() == [
        *unary(1),
        CallCancelled(1, CancelReason.BROKEN),
        TransportEnded(),
    ]


def test_after_a_mistake_nothing_is_read_and_nothing_said() -> None:
    server = fed(call())
    with pytest.raises(ProtocolError):
        server.receive_data(frame(Kind.INVOKE, 1, 4))
    server.events_received()

    server.receive_data(call(2))
    server.receive_eof()
    server.send_close(1)

    assert server.events_received() == []
    assert server.data_to_send() == b""


def test_what_was_answered_before_a_mistake_can_be_sent() -> None:
    server = fed(call())
    server.send_close(1)
    with pytest.raises(ProtocolError):
        server.receive_data(frame(9, 1, 4))

    assert server.data_to_send() == frame(Kind.CLOSE_SEND, 1, 1)


def test_a_message_over_the_limit_is_not_sent_and_the_call_stays_open() -> None:
    server = fed(call(), limits=Limits(max_packet_bytes=10))

    with pytest.raises(LimitExceededError) as raised:
        server.send_message(1, bytes(11))
    server.send_message(1, bytes(10))

    assert str(raised.value) == "message of 11 bytes, at most 10 are allowed"
    assert server.data_to_send() == frame(Kind.MESSAGE, 1, 1, bytes(10))


def test_a_large_answer_is_split_and_the_next_packet_has_the_next_id() -> None:
    server = fed(call())
    server.send_message(1, bytes(65537))
    server.send_close(1)

    assert server.data_to_send() == (
        frame(Kind.MESSAGE, 1, 1, bytes(65536), done=False)
        + frame(Kind.MESSAGE, 1, 1, bytes(1))
        + frame(Kind.CLOSE_SEND, 1, 2)
    )


def test_what_is_held_of_an_unfinished_packet_can_be_asked() -> None:
    server = fed(INVOKE)
    held = []
    for piece in (b"\x04", b"\x01\x02\x05", b"abc", b"de", b"\x05\x01\x02\x02f", b"g"):
        server.receive_data(piece)
        held.append(server.held_bytes)

    assert held == [1, 0, 3, 5, 6, 0]
    assert server.events_received()[1:] == [MessageReceived(1, b"abcdefg")]
