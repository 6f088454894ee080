"""A WebSocket that carries a gateway's session.

The HTTP server hands over a connection whose request asks for a WebSocket.
Source: RFC 6455, by the websockets library's state machine.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from otelbridge.transports.gateway.endpoint import Refusal
from otelbridge.transports.gateway.refusals import http_response

if TYPE_CHECKING:
    from otelbridge.transports.gateway.session import GatewaySession
    from otelbridge.transports.gateway.sessions import Gateways

# A Go peer's largest message is a yamux body: 262,144 bytes. Ours fit into one frame, too.
_MAX_FRAME_BYTES = 1024 * 1024
# RFC 6455, section 7.4.1.
_GOING_AWAY, _PROTOCOL_ERROR, _UNSUPPORTED = 1001, 1002, 1003
# How long a gateway may take to answer our close, in seconds.
_CLOSE_S = 2.0
# It is binary or it is not ours.
_DATA = frozenset({Opcode.BINARY, Opcode.CONT})
# The library logs every handshake and frame; what matters is logged by the session's owner.
_QUIET = logging.getLogger("otelbridge.websockets")
_QUIET.setLevel(logging.CRITICAL + 1)


class GatewayConnection(asyncio.Protocol):
    """One connection, from its request on.

    Args:
        gateways: Who admits it and owns its session.
    """

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways
        self._websocket = ServerProtocol(max_size=_MAX_FRAME_BYTES, logger=_QUIET)
        self._session: GatewaySession | None = None
        self._transport: asyncio.Transport
        self._closing: asyncio.TimerHandle | None = None

    @property
    def peer(self) -> str:
        """Return the gateway's address as gRPC writes it."""
        found = self._transport.get_extra_info("peername")
        if not isinstance(found, tuple):
            return ""
        kind = "ipv6" if ":" in found[0] else "ipv4"
        host = f"[{found[0]}]" if kind == "ipv6" else found[0]
        return f"{kind}:{host}:{found[1]}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Frame):
                self._take(event)
            elif isinstance(event, Request):
                self._open(event)
        self._flush()

    def eof_received(self) -> None:
        """Take that the gateway has closed its side."""
        self._websocket.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        """End the session: nobody hears its answers."""
        if self._closing is not None:
            self._closing.cancel()
        if self._session is not None:
            self._session.lost()

    def pause_writing(self) -> None:
        """Read no more calls of a gateway that does not read its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._transport.resume_reading()

    def _take(self, frame: Frame) -> None:
        if self._session is None:
            return
        if frame.opcode in _DATA:
            self._session.receive(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._session.close("a text message was sent")
            self._websocket.fail(_UNSUPPORTED, "binary messages only")

    def _open(self, request: Request) -> None:
        path, _, query = request.path.partition("?")
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        admitted = self._gateways.admit(path, query, headers, peer=self.peer)
        response = (
            http_response(admitted)
            if isinstance(admitted, Refusal)
            else self._websocket.accept(request)
        )
        self._websocket.send_response(response)
        if self._websocket.state is OPEN and not isinstance(admitted, Refusal):
            self._session = self._gateways.opened(admitted, self)
        self._flush()

    def pause_reading(self) -> None:
        """Take no more calls."""
        self._transport.pause_reading()

    def write(self, messages: list[bytes]) -> None:
        """Send messages of a session."""
        if self._websocket.state is OPEN:
            for message in messages:
                self._websocket.send_binary(message)
            self._flush()

    def end(self, *, is_fault: bool) -> None:
        """Close, after what was sent."""
        if self._websocket.state is OPEN:
            self._websocket.send_close(_PROTOCOL_ERROR if is_fault else _GOING_AWAY)
            self._flush()
        self._close_soon()

    def _flush(self) -> None:
        written = self._websocket.data_to_send()
        if not written or self._transport.is_closing():
            return
        is_end = not written[-1]  # the library's sign to half-close
        self._transport.write(b"".join(written))
        if is_end:
            self._transport.close()

    def _close_soon(self) -> None:
        if self._closing is None:
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(_CLOSE_S, self._transport.abort)
