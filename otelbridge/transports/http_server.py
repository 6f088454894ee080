"""The HTTP server: uvicorn in the event loop that is already there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from otelbridge.transports.gateway.connection import GatewayConnection
from otelbridge.transports.http_app import MAX_HEADER_BYTES

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    import h11
    from starlette.types import ASGIApp

    from otelbridge.transports.gateway.sessions import Gateways

logger = logging.getLogger(__name__)

#: How long a client may take to send a request, in seconds.
REQUEST_LIMIT_S = 10.0
# Scrapers, probes and people: a thousand connections are none of these.
_MAX_CONNECTIONS = 1024
_KEEP_ALIVE_S = 75  # longer than a scraper's usual interval of 60 s
_STOP_S = 2  # pages are rendered in milliseconds


class HttpServer:
    """Serves an application on sockets that are bound already."""

    def __init__(
        self, app: ASGIApp, sockets: Sequence[socket.socket], *, gateways: Gateways | None = None
    ) -> None:
        """Create a server that does not listen yet; it closes the sockets when it stops.

        Args:
            app: Answers requests.
            sockets: Where it listens.
            gateways: Whom a request for a WebSocket is handed to; without, it
                is a request as any other.
        """
        self._sockets = list(sockets)
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=_TimedProtocol,
                ws="none" if gateways is None else _handing_over(gateways),  # type: ignore[arg-type]  # it is only called
                lifespan="off",
                log_config=None,
                log_level="error",  # at a lower one clients could fill the log
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MAX_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_STOP_S,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen and serve."""
        self._serving = asyncio.create_task(self._server.serve(self._sockets), name="http")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await self._serving  # raises what went wrong

    async def stop(self) -> None:
        """Answer the requests that were received, then close."""
        if self._serving is None:
            for opened in self._sockets:
                opened.close()
            return
        self._server.should_exit = True
        await self._serving


def _handing_over(gateways: Gateways) -> Callable[..., asyncio.Protocol]:
    def protocol(**_of_uvicorn: object) -> asyncio.Protocol:
        return GatewayConnection(gateways)

    return protocol


class _Uvicorn(uvicorn.Server):
    """A server that leaves signals to the process and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class _TimedProtocol(H11Protocol):
    """HTTP/1.1 that waits for a whole request `REQUEST_LIMIT_S` and no longer."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._arm()
        super().data_received(data)
        if _is_received(self.cycle):
            self._disarm()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._disarm()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # the next request has begun, and has not come in whole
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_LIMIT_S, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _is_received(last: RequestResponseCycle | None) -> bool:
    """Return whether the request that is being answered has been received in whole."""
    return last is not None and not last.more_body and not last.response_complete
