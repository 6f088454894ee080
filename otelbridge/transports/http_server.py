"""The HTTP server: the HTTP of uvicorn, behind a listener with limits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from otelbridge.transports.gateway.connection import GatewayConnection
from otelbridge.transports.gateway.endpoint import Refusal
from otelbridge.transports.gateway.refusals import http_response
from otelbridge.transports.http_app import LINE_OVERHEAD, MAX_HEADER_BYTES
from otelbridge.transports.listener import Listener

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Sequence

    import h11
    from starlette.types import ASGIApp

    from otelbridge.transports.gateway.sessions import Gateways
    from otelbridge.transports.listener import Slot

#: How long a client may take to send a request, in seconds.
REQUEST_LIMIT_S = 10.0
#: How long a client may read nothing of an answer, in seconds.
UNREAD_LIMIT_S = 30.0
_KEEP_ALIVE_S = 75  # longer than a scraper's usual interval of 60 s
_STOP_S = 2  # pages are rendered in milliseconds
_TOO_LARGE = Refusal(431, {"message": f"The request's head is over {MAX_HEADER_BYTES} bytes."})


class HttpServer:
    """Serves an application on sockets that are bound already."""

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        *,
        gateways: Gateways | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Create a server that does not listen yet; it closes the sockets when it stops.

        Args:
            app: Answers requests.
            sockets: Where it listens.
            gateways: Whom a request for a WebSocket is handed to; without, it
                is a request as any other.
            context: For TLS; None for plain text.
        """
        self._sockets = list(sockets)
        self._config = uvicorn.Config(
            app,
            http=_Connection,
            ws="none" if gateways is None else GatewayConnection,
            lifespan="off",
            log_config=None,
            log_level="error",  # at a lower one clients could fill the log
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        self._config.load()
        self._gateways = gateways
        self._state = ServerState()
        self._closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(self._sockets, self._serve, context=context)
        self._dating: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen and serve."""
        self._date()
        self._listener.start()

    async def stop(self) -> None:
        """Answer the requests that were received, then close."""
        await self._listener.stop()
        if self._dating is not None:
            self._dating.cancel()
        for connection in list(self._state.connections):
            connection.shutdown()
        await self._all_closed(_STOP_S)
        for task in self._state.tasks:
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await self._all_closed(_STOP_S)

    async def _all_closed(self, limit_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._state.connections:
                    self._closed.clear()
                    await self._closed.wait()

    def _date(self) -> None:
        """Set the time that answers are dated with, each second (RFC 9110, section 6.6.1)."""
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        self._dating = self._loop.call_later(1.0, self._date)

    def _serve(self, slot: Slot) -> asyncio.Protocol:
        return _Connection(
            self._config,
            self._state,
            slot=slot,
            gateways=self._gateways,
            closed=self._closed.set,
        )


class _Connection(H11Protocol):
    """HTTP/1.1 that waits for a client as long as it must and no longer.

    Args:
        config: The library's settings.
        state: What connections share.
        slot: Its place among the connections that are allowed.
        gateways: See `HttpServer`.
        closed: Called when it is no more.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        *,
        slot: Slot,
        gateways: Gateways | None,
        closed: Callable[[], None],
    ) -> None:
        super().__init__(config, state, {})
        self._slot = slot
        self._gateways = gateways
        self._closed = closed
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._arm()
        super().data_received(data)
        if _is_received(self.cycle):
            self._disarm()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over, with all that was read of it."""
        if self._gateways is None or _size(event) > MAX_HEADER_BYTES:
            self.transport.write(http_response(_TOO_LARGE).serialize())
            self.transport.close()
            return
        self._disarm()
        self._read_on()
        self.connections.discard(self)
        gateway = GatewayConnection(self._gateways, self.transport, self._slot)
        self.transport.set_protocol(gateway)
        gateway.begin(event, self.conn.trailing_data[0])

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # the next request has begun, and has not come in whole
            self._arm()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_LIMIT_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._slot.release()
        self._disarm()
        self._read_on()
        super().connection_lost(exc)
        self._closed()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_LIMIT_S, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _is_received(last: RequestResponseCycle | None) -> bool:
    """Return whether the request that is being answered has been received in whole."""
    return last is not None and not last.more_body and not last.response_complete


def _size(request: h11.Request) -> int:
    """Return the size of a request's head as HTTP/1.1 writes it."""
    lines = (len(name) + len(value) + LINE_OVERHEAD for name, value in request.headers)
    return len(request.target) + sum(lines)
