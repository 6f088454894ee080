"""The client's end: calls go out, answers come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelbridge.errors import ProtocolError, UnavailableError
from otelbridge.protocols.drpc.events import (
    CallCancelled,
    CallEnded,
    CallFailed,
    CancelReason,
    ClientEvent,
    MessageReceived,
    TransportEnded,
)
from otelbridge.protocols.drpc.limits import DEFAULT_LIMITS
from otelbridge.protocols.drpc.metadata import encode_metadata
from otelbridge.protocols.drpc.transport import Transport
from otelbridge.protocols.drpc.wire import Kind, decode_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.protocols.drpc.limits import Limits

# What every call has: looking a member up in its class takes ten times as long.
_MESSAGE: Final = Kind.MESSAGE
_CLOSE_SEND: Final = Kind.CLOSE_SEND

_INVOKING: Final = frozenset({Kind.INVOKE, Kind.INVOKE_METADATA})
_ENDING: Final = frozenset({Kind.CLOSE, Kind.ERROR, Kind.CANCEL})


class ClientTransport(Transport[ClientEvent]):
    """Makes calls, one after another.

    Of each call any number of `MessageReceived` and then at most one of
    `CallEnded`, `CallFailed` and `CallCancelled` are told; none of them, once
    the call was given up here (`cancel`, `close`).

    A call is over when both ends have said that no more messages come, or when
    one has ended it. Call `close` once the answer has come, as the Go client
    does: it says nothing if the call is over.
    """

    __slots__ = ("_newest", "_receiving", "_sending")

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(limits=limits)
        # The call that began last; the one that may send more messages; the one that may
        # receive more. The latter two are the first, or none.
        self._newest = 0
        self._sending: int | None = None
        self._receiving: int | None = None

    def invoke(self, rpc: str, *, metadata: Mapping[str, str] | None = None) -> int:
        """Begin a call.

        Args:
            rpc: Its name, like ``/proto.Recorder/RecordInterception``.
            metadata: What goes with it, as W3C's ``traceparent``.

        Returns:
            The call's id.

        Raises:
            UnavailableError: If the transport has ended.
            ValueError: If the call before is not over.
        """
        if self._is_ended:
            raise UnavailableError("drpc transport has ended")
        if self._newest in {self._sending, self._receiving}:
            raise ValueError(f"drpc call {self._newest} is open")
        self._newest += 1
        self._sending = self._receiving = self._newest
        self._message_id = 0
        if metadata:
            self._send(Kind.INVOKE_METADATA, self._newest, encode_metadata(metadata))
        self._send(Kind.INVOKE, self._newest, rpc.encode("utf-8", "replace"))
        return self._newest

    def send_message(self, call_id: int, data: bytes) -> None:
        """Send a message; a unary call has one.

        Raises:
            LimitExceededError: If it is over ``max_packet_bytes``: nothing is
                sent, and the call is open as before.
        """
        if call_id == self._sending:
            self._check_message(data)
            self._send(_MESSAGE, call_id, data)

    def send_close(self, call_id: int) -> None:
        """Say that no more messages come (CloseSend)."""
        if call_id == self._sending:
            self._sending = None
            self._send(_CLOSE_SEND, call_id)

    def cancel(self, call_id: int) -> None:
        """Give the call up (Cancel, a control packet), and leave the transport to the next."""
        if self._give_up(call_id):
            self._send(Kind.CANCEL, call_id, is_control=True)

    def close(self, call_id: int) -> None:
        """End the call, answered or not (Close)."""
        if self._give_up(call_id):
            self._send(Kind.CLOSE, call_id)

    def _give_up(self, call_id: int) -> bool:
        """End the call and return whether it was open."""
        if call_id not in {self._sending, self._receiving}:
            return False
        self._sending = self._receiving = None
        return True

    def _receive(self, kind: int, stream: int, body: bytes) -> None:
        if stream == self._receiving and kind == _MESSAGE:
            self._events.append(MessageReceived(stream, body))
        elif stream > self._newest or kind in _INVOKING:
            raise ProtocolError(
                "sequence", f"drpc {Kind(kind).name} from a server, in call {stream}"
            )
        elif stream == self._receiving and kind == _CLOSE_SEND:
            self._receiving = None
            self._events.append(CallEnded(stream))
        elif kind in _ENDING:
            self._receive_end(kind, stream, body)

    def _receive_end(self, kind: int, stream: int, body: bytes) -> None:
        """Act on what ends a call in both directions; its end is told once."""
        if stream == self._receiving:
            self._events.append(_end_of(kind, stream, body))
        self._give_up(stream)

    def _end(self, reason: CancelReason) -> None:
        self._is_ended = True
        if self._receiving is not None:
            self._events.append(CallCancelled(self._receiving, reason))
        self._sending = self._receiving = None
        self._events.append(TransportEnded())


def _end_of(kind: int, call_id: int, body: bytes) -> ClientEvent:
    if kind == Kind.CLOSE:
        return CallEnded(call_id)
    if kind == Kind.ERROR:
        return CallFailed(call_id, *decode_error(body))
    return CallCancelled(call_id, CancelReason.CANCEL)
