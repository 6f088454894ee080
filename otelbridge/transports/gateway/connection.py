"""A WebSocket that carries a gateway's session.

The HTTP server hands over a connection whose request asks for a WebSocket.
Source: RFC 6455, by the websockets library's state machine.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from otelbridge.transports.gateway.endpoint import Refusal, peer_address
from otelbridge.transports.gateway.refusals import http_response

if TYPE_CHECKING:
    import h11

    from otelbridge.transports.gateway.session import GatewaySession
    from otelbridge.transports.gateway.sessions import Gateways
    from otelbridge.transports.listener import Slot

#: A Go peer's largest message is a yamux payload, 262,144 bytes; others may put its header before
#: it. A message of any size may come in frames of this size.
MAX_FRAME_BYTES: Final = 256 * 1024 + 12
# Beyond it nothing more is read until the gateway reads. One turn's answers are rarely more.
_HIGH_WATER_BYTES: Final = 256 * 1024
# How long a gateway may take to answer our close, and to read what comes before it, in seconds.
_CLOSE_S = 2.0
# It is binary or it is not ours.
_DATA: Final = frozenset({Opcode.BINARY, Opcode.CONT})
# What the library looks at; what else is sent is no concern of it.
_HANDSHAKE: Final = frozenset(
    {b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version"}
)
_NO_HANDSHAKE: Final = Refusal(400, {"message": "This is no WebSocket handshake (RFC 6455)."})
# The library logs every handshake and frame; what matters is logged by the session's owner.
_QUIET: Final = logging.getLogger("otelbridge.websockets")
_QUIET.setLevel(logging.CRITICAL + 1)


class GatewayConnection(asyncio.Protocol):
    """One connection, from its request on; the wire of its session.

    Args:
        gateways: Who admits it and owns its session.
        transport: The connection; its protocol is to be this.
        slot: Its place among the connections that are allowed: a session leaves it to others.
    """

    def __init__(self, gateways: Gateways, transport: asyncio.Transport, slot: Slot) -> None:
        self._gateways = gateways
        self._transport = transport
        self._slot = slot
        self._websocket = ServerProtocol(max_size=(None, MAX_FRAME_BYTES), logger=_QUIET)
        # None before the handshake, and again once it is over.
        self._session: GatewaySession | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._is_deaf = False
        self._is_lost = False
        self.peer = peer_address(transport.get_extra_info("peername"))
        self.is_writable = True

    def begin(self, request: h11.Request, early: bytes) -> None:
        """Answer the request, and take what has come after it."""
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        refusal = self._refusal(request)
        if refusal is not None:
            self._transport.write(http_response(refusal).serialize())
            self._transport.close()
            self._close_soon()
        elif early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Frame):
                self._take(event)
        if self._websocket.parser_exc is not None:
            self._break("WebSocket: it sent what is no frame, or too large a one")
        self._flush()

    def eof_received(self) -> None:
        """Take that the gateway will send nothing more: it has gone, as a WebSocket goes."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        """End the session: nobody hears its answers."""
        self._is_lost = True
        self._slot.release()
        if self._closing is not None:
            self._closing.cancel()
        if self._session is not None:
            self._session.lost("the connection was closed")
        self._gateways.closed(self)

    def pause_writing(self) -> None:
        """Read no more calls of a gateway that does not read its answers."""
        self.is_writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self.is_writable = True
        if not self._is_deaf and not self._transport.is_closing():
            self._transport.resume_reading()
        if self._session is not None:
            self._session.resume()

    @property
    def unsent_bytes(self) -> int:
        """What was written and waits for the gateway to read; 0 while it is writable."""
        return 0 if self.is_writable else self._transport.get_write_buffer_size()

    def write(self, messages: list[bytes]) -> None:
        """Send binary messages."""
        if self._websocket.state is OPEN:
            for message in messages:
                self._websocket.send_binary(message)
            self._flush()

    def stop_reading(self) -> None:
        """Hear no more of the gateway."""
        self._is_deaf = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def end(self, *, is_fault: bool) -> None:
        """Close, after what was written: the session is over."""
        self._session = None
        if self._is_deaf and not self._transport.is_closing():
            self._transport.resume_reading()  # its answer to our close
        if self._websocket.state is OPEN:
            code = CloseCode.PROTOCOL_ERROR if is_fault else CloseCode.GOING_AWAY
            self._websocket.send_close(code)
            self._flush()
        self._close_soon()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _refusal(self, request: h11.Request) -> Refusal | None:
        """Open the session; return why not."""
        path, _, query = request.target.decode("latin-1").partition("?")
        # The first of several headers counts, as for the gateway's own server.
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(list(request.headers))
        }
        admitted = self._gateways.admit(path, query, headers, peer=self.peer)
        if isinstance(admitted, Refusal):
            return admitted
        if request.method != b"GET" or not self._shake_hands(request):
            return _NO_HANDSHAKE
        self._session = self._gateways.opened(admitted, self)
        self._slot.release()
        return None

    def _shake_hands(self, request: h11.Request) -> bool:
        """Accept the WebSocket; return False, and write nothing, if it is none."""
        lines = [b"%s: %s" % each for each in request.headers if each[0] in _HANDSHAKE]
        self._websocket.receive_data(b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""]))
        for event in self._websocket.events_received():
            if isinstance(event, Request):
                response = self._websocket.accept(event)
                if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                    self._websocket.send_response(response)
                    self._flush()
                    return True
        return False

    def _take(self, frame: Frame) -> None:
        if self._session is None:
            return
        if frame.opcode in _DATA:
            self._session.receive(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._websocket.fail(CloseCode.UNSUPPORTED_DATA)
            self._break("WebSocket: it sent a text message")

    def _break(self, reason: str) -> None:
        """End the session: the gateway broke the WebSocket, which has been closed already."""
        if self._session is not None:
            self._session.fail("websocket")
            self._session.lost(reason)

    def _flush(self) -> None:
        written = self._websocket.data_to_send()
        if not written or self._transport.is_closing():
            return
        is_end = not written[-1]  # the library's sign to half-close
        self._transport.write(b"".join(written))
        if is_end:
            self._transport.close()
            self._close_soon()

    def _close_soon(self) -> None:
        """Wait for the gateway's answer to our close, but not for ever."""
        if self._closing is None and not self._is_lost:
            self._closing = asyncio.get_running_loop().call_later(_CLOSE_S, self._transport.abort)
