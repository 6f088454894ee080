"""The client's end, call by call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otelbridge.errors import LimitExceededError, ProtocolError, UnavailableError
from otelbridge.protocols.drpc import (
    CallCancelled,
    CallEnded,
    CallFailed,
    CancelReason,
    ClientTransport,
    Limits,
    MessageReceived,
    TransportEnded,
)
from otelbridge.protocols.drpc.wire import Kind, encode_error
from tests.protocols.drpc.frames import RPC, call, frame

ANSWER = frame(Kind.MESSAGE, 1, 1, b"answer")
CLOSE_SEND = frame(Kind.CLOSE_SEND, 1, 9)


def invoked(*answers: bytes, is_closed: bool = True) -> ClientTransport:
    """Return a client that has made a call and read these bytes."""
    client = ClientTransport()
    call_id = client.invoke(RPC)
    client.send_message(call_id, b"request")
    if is_closed:
        client.send_close(call_id)
    client.data_to_send()
    for answer in answers:
        client.receive_data(answer)
    return client


def test_calls_follow_one_another_and_each_counts_its_packets() -> None:
    client = ClientTransport()

    for call_id in (1, 2, 3):
        assert client.invoke(RPC) == call_id
        client.send_message(call_id, b"request")
        client.send_close(call_id)
        assert client.data_to_send() == call(call_id)
        client.receive_data(
            frame(Kind.MESSAGE, call_id, 1, b"answer") + frame(Kind.CLOSE_SEND, call_id, 2)
        )
        assert client.events_received() == [
            MessageReceived(call_id, b"answer"),
            CallEnded(call_id),
        ]


def test_a_call_that_is_open_must_end_before_the_next() -> None:
    client = invoked()

    with pytest.raises(ValueError, match="drpc call 1 is open"):
        client.invoke(RPC)
    client.receive_data(CLOSE_SEND)

    assert client.invoke(RPC) == 2


def test_a_call_answered_before_its_input_ended_is_open_until_it_is_closed() -> None:
    client = invoked(CLOSE_SEND, is_closed=False)

    with pytest.raises(ValueError, match="drpc call 1 is open"):
        client.invoke(RPC)
    client.close(1)

    assert client.data_to_send() == frame(Kind.CLOSE, 1, 3)
    assert client.invoke(RPC) == 2


def test_an_ended_transport_makes_no_calls() -> None:
    client = ClientTransport()
    client.receive_eof()

    with pytest.raises(UnavailableError, match="drpc transport has ended"):
        client.invoke(RPC)


@pytest.mark.parametrize(
    ("give_up", "written"),
    [
        (ClientTransport.cancel, frame(Kind.CANCEL, 1, 4, control=True)),
        (ClientTransport.close, frame(Kind.CLOSE, 1, 4)),
    ],
)
def test_a_call_given_up_is_told_to_the_server_and_no_more_here(
    give_up: Callable[[ClientTransport, int], None], written: bytes
) -> None:
    client = invoked(ANSWER)
    client.events_received()

    give_up(client, 1)
    client.receive_data(frame(Kind.MESSAGE, 1, 2, b"late") + CLOSE_SEND)
    client.send_message(1, b"late")
    client.send_close(1)

    assert client.data_to_send() == written
    assert client.events_received() == []
    assert client.invoke(RPC) == 2


@pytest.mark.parametrize("give_up", [ClientTransport.cancel, ClientTransport.close])
@pytest.mark.parametrize("call_id", [0, 1, 2])
def test_a_call_that_is_over_is_not_given_up(
    give_up: Callable[[ClientTransport, int], None], call_id: int
) -> None:
    client = invoked(ANSWER + CLOSE_SEND)

    give_up(client, call_id)

    assert client.data_to_send() == b""


@pytest.mark.parametrize("call_id", [0, 1])
def test_before_the_first_call_nothing_is_sent(call_id: int) -> None:
    client = ClientTransport()

    client.send_message(call_id, b"")
    client.send_close(call_id)
    client.cancel(call_id)
    client.close(call_id)
    client.receive_eof()

    assert client.data_to_send() == b""
    assert client.events_received() == [TransportEnded()]


def test_a_name_is_written_whatever_is_in_it() -> None:
    client = ClientTransport()

    client.invoke("/\ud800")

    assert client.data_to_send() == frame(Kind.INVOKE, 1, 1, b"/?")


def test_an_error_is_the_end() -> None:
    error = frame(Kind.ERROR, 1, 1, encode_error(12, "Unimplemented"))
    client = invoked(error + ANSWER[:1] + frame(Kind.MESSAGE, 1, 2)[1:] + CLOSE_SEND)

    assert client.events_received() == [CallFailed(1, 12, "Unimplemented")]
    assert client.invoke(RPC) == 2


def test_an_error_without_a_code_or_utf_8_is_told() -> None:
    short = invoked(frame(Kind.ERROR, 1, 1, b"broken"))
    garbled = invoked(frame(Kind.ERROR, 1, 1, bytes(8) + b"\xff"))

    assert short.events_received() == [CallFailed(1, 0, "broken")]
    assert garbled.events_received() == [CallFailed(1, 0, "\ufffd")]


def test_a_server_may_close_a_call() -> None:
    client = invoked(ANSWER + frame(Kind.CLOSE, 1, 2), is_closed=False)
    client.send_message(1, b"late")

    assert client.events_received() == [MessageReceived(1, b"answer"), CallEnded(1)]
    assert client.data_to_send() == b""
    assert client.invoke(RPC) == 2


def test_a_server_may_cancel_a_call() -> None:
    client = invoked(frame(Kind.CANCEL, 1, 1, control=True))

    assert client.events_received() == [CallCancelled(1, CancelReason.CANCEL)]
    assert client.invoke(RPC) == 2


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.CLOSE, Kind.CANCEL, Kind.CLOSE_SEND])
def test_the_end_of_a_call_is_told_once(kind: Kind) -> None:
    client = invoked(CLOSE_SEND + frame(kind, 1, 10), is_closed=False)

    assert client.events_received() == [CallEnded(1)]


def test_a_call_that_the_server_ended_after_its_answer_is_over() -> None:
    client = invoked(CLOSE_SEND + frame(Kind.CLOSE, 1, 10), is_closed=False)

    assert client.invoke(RPC) == 2


def test_the_end_of_the_stream_is_the_end_of_the_call() -> None:
    client = invoked(ANSWER)
    client.receive_eof()
    client.receive_eof()
    client.receive_data(CLOSE_SEND)
    client.close(1)

    assert client.events_received() == [
        MessageReceived(1, b"answer"),
        CallCancelled(1, CancelReason.EOF),
        TransportEnded(),
    ]
    assert client.is_ended
    assert client.data_to_send() == b""


def test_the_end_of_the_stream_after_the_answer_is_only_that() -> None:
    client = invoked(CLOSE_SEND, is_closed=False)
    client.receive_eof()

    assert client.events_received() == [CallEnded(1), TransportEnded()]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (frame(Kind.INVOKE, 1, 2, b"/a"), "drpc INVOKE from a server, in call 1"),
        (frame(Kind.INVOKE_METADATA, 1, 2), "drpc INVOKE_METADATA from a server, in call 1"),
        (frame(Kind.MESSAGE, 2, 1), "drpc MESSAGE from a server, in call 2"),
        (frame(Kind.CANCEL, 2, 1), "drpc CANCEL from a server, in call 2"),
    ],
)
def test_what_no_server_says_is_an_error(data: bytes, problem: str) -> None:
    client = invoked()

    with pytest.raises(ProtocolError) as raised:
        client.receive_data(ANSWER + data)

    assert (raised.value.kind, str(raised.value)) == ("sequence", problem)
    assert client.events_received() == [
        MessageReceived(1, b"answer"),
        CallCancelled(1, CancelReason.BROKEN),
        TransportEnded(),
    ]


def test_a_message_over_the_limit_is_not_sent_and_the_call_stays_open() -> None:
    client = ClientTransport(limits=Limits(max_packet_bytes=10))
    call_id = client.invoke("/a")
    client.data_to_send()

    with pytest.raises(LimitExceededError):
        client.send_message(call_id, bytes(11))
    client.send_message(call_id, bytes(10))

    assert client.data_to_send() == frame(Kind.MESSAGE, 1, 2, bytes(10))


def test_metadata_goes_before_the_invoke_if_there_is_any() -> None:
    client = ClientTransport()

    client.invoke("/a", metadata={"k": "v"})

    assert client.data_to_send() == (
        frame(Kind.INVOKE_METADATA, 1, 1, b"\x0a\x06\x0a\x01k\x12\x01v")
        + frame(Kind.INVOKE, 1, 2, b"/a")
    )
