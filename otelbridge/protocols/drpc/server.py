"""The server's end: calls come in, answers go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelbridge.errors import ProtocolError
from otelbridge.protocols.drpc.events import (
    CallCancelled,
    CancelReason,
    InputEnded,
    Invoked,
    MessageReceived,
    ServerEvent,
    TransportEnded,
)
from otelbridge.protocols.drpc.limits import DEFAULT_LIMITS
from otelbridge.protocols.drpc.metadata import decode_metadata
from otelbridge.protocols.drpc.transport import Transport
from otelbridge.protocols.drpc.wire import Kind, encode_error

if TYPE_CHECKING:
    from otelbridge.protocols.drpc.limits import Limits

# What every call has: looking a member up in its class takes ten times as long.
_INVOKE: Final = Kind.INVOKE
_MESSAGE: Final = Kind.MESSAGE
_CLOSE_SEND: Final = Kind.CLOSE_SEND

_REASONS: Final[dict[int, CancelReason]] = {
    Kind.CANCEL: CancelReason.CANCEL,
    Kind.CLOSE: CancelReason.CLOSE,
    Kind.ERROR: CancelReason.ERROR,
}


class ServerTransport(Transport[ServerEvent]):
    """Serves the calls of one client, one after another.

    A call is open from `Invoked` until it is answered (`send_close` or
    `send_error`) or cancelled (`CallCancelled`). While it is open, any number
    of `MessageReceived` and then at most one `InputEnded` are told. Nothing is
    told of a call that is not open, but a list of events taken earlier may say
    more of a call that is answered in between: ignore that.
    """

    __slots__ = ("_input", "_metadata", "_newest", "_open")

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(limits=limits)
        # The call that began last; the one that waits for its answer; the one that may get
        # more messages. The latter two are the first, or none.
        self._newest = 0
        self._open: int | None = None
        self._input: int | None = None
        # Of a call that was not invoked yet, with its id.
        self._metadata: tuple[int, dict[str, str]] | None = None

    def send_message(self, call_id: int, data: bytes) -> None:
        """Answer with a message; a unary call has one.

        Raises:
            LimitExceededError: If it is over ``max_packet_bytes``: nothing is
                sent, and the call is open as before.
        """
        if call_id == self._open:
            self._check_message(data)
            self._send(_MESSAGE, call_id, data)

    def send_close(self, call_id: int) -> None:
        """End the answer (CloseSend): the call is answered."""
        if call_id == self._open:
            self._open = self._input = None
            self._send(_CLOSE_SEND, call_id)

    def send_error(self, call_id: int, code: int, text: str) -> None:
        """Answer with an error: the call is answered.

        Args:
            call_id: The call.
            code: 0 to 2^64 - 1; 0 says nothing, 12 is "unimplemented".
            text: What the caller reads; cut to fit into 64 KiB.
        """
        if call_id == self._open:
            self._open = self._input = None
            self._send(Kind.ERROR, call_id, encode_error(code, text))

    def _receive(self, kind: int, stream: int, body: bytes) -> None:
        if stream == self._input and kind == _MESSAGE:
            self._events.append(MessageReceived(stream, body))
        elif stream == self._input and kind == _CLOSE_SEND:
            self._input = None
            self._events.append(InputEnded(stream))
        elif stream > self._newest:
            self._receive_first(kind, stream, body)
        elif stream == self._open:
            self._receive_last(kind)

    def _receive_first(self, kind: int, stream: int, body: bytes) -> None:
        """Act on a packet of a call that has not begun."""
        # Ids never decrease: nothing more can come of an open call.
        self._cancel(CancelReason.SUPERSEDED)
        if kind == _INVOKE:
            self._invoke(stream, body)
        elif kind == Kind.INVOKE_METADATA:
            self._metadata = stream, decode_metadata(body)
        elif kind in _REASONS:  # given up between its metadata and its Invoke
            self._newest = stream
        else:
            raise ProtocolError("sequence", f"drpc {Kind(kind).name} before its INVOKE")

    def _invoke(self, stream: int, body: bytes) -> None:
        metadata: dict[str, str] = {}
        if self._metadata is not None:
            owner, pairs = self._metadata
            self._metadata = None
            metadata = pairs if owner == stream else metadata
        self._newest = self._open = self._input = stream
        self._message_id = 0
        self._events.append(Invoked(stream, body.decode("utf-8", "replace"), metadata))

    def _receive_last(self, kind: int) -> None:
        """Act on a packet of the open call that is no input; input after its end is ignored."""
        if kind in _REASONS:
            self._cancel(_REASONS[kind])
        elif kind in {_INVOKE, Kind.INVOKE_METADATA}:
            raise ProtocolError("sequence", f"drpc {Kind(kind).name} in an open call")

    def _cancel(self, reason: CancelReason) -> None:
        """End the open call, if there is one."""
        if self._open is not None:
            self._events.append(CallCancelled(self._open, reason))
            self._open = self._input = None

    def _end(self, reason: CancelReason) -> None:
        self._is_ended = True
        self._cancel(reason)
        self._events.append(TransportEnded())
