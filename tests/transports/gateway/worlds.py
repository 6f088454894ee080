"""A gateways' endpoint with fake servicers behind it, on a free port of loopback."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from otelbridge.transports.access import Door
from otelbridge.transports.gateway.calls import MAX_HELD_BYTES, Dispatcher
from otelbridge.transports.gateway.client import GatewayClient, dialled
from otelbridge.transports.gateway.endpoint import PATH, Endpoint
from otelbridge.transports.gateway.sessions import MAX_SESSIONS, MAX_SESSIONS_OF_ONE, Gateways
from otelbridge.transports.http_app import build_app
from otelbridge.transports.http_server import HttpServer
from otelbridge.transports.sockets import bind
from tests.transports.fakes import RIGHT_KEY, Books, table
from tests.transports.raw import raw

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from otelbridge.protocols import yamux

OTHER_KEY = "o" * 43
WATCH = "ProviderConfigurator/WatchAIProviders"
BUDGET = "Authorizer/IsBudgetExceeded"
PROMPT = "Recorder/RecordPromptUsage"
#: How long anything may take that takes milliseconds.
PATIENCE_S = 10.0
_HANDSHAKE = {
    "Host": "localhost",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Response:
    """An HTTP answer, as it was read until the server had said all.

    Attributes:
        status: The status.
        headers: The headers, by names in lower case.
        body: The body; of 101 what came after the head at once.
    """

    def __init__(self, came: bytes) -> None:
        head, _, self.body = came.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        pairs = (line.split(": ", 1) for line in lines)
        self.headers = {name.lower(): value for name, value in pairs}

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class World:
    """The endpoint, and all that it asks.

    Attributes:
        keys: The gateways, by their keys.
        is_ready: Whether sessions are taken.
        books: What was booked of calls.
        counted: How often each counter with its values was counted.
        gateways: Who is connected.
        port: Where it listens.
    """

    def __init__(self, handlers: Mapping[str, Callable[..., Any]] | None, **options: Any) -> None:
        self.keys = {RIGHT_KEY: "eu", OTHER_KEY: "us"}
        self.is_ready = True
        self.books = Books()
        self.counted: Counter[tuple[str, ...]] = Counter()
        context: ssl.SSLContext | None = options.pop("context", None)
        # A clock that stands: what is allowed a second is allowed once.
        door = Door(self.keys.get, clock_ns=lambda: 1, count=self._count, is_open=False)
        methods = {
            f"/proto.{path.removeprefix('/proto.')}": handler
            for path, handler in (handlers or {}).items()
        }
        dispatcher = Dispatcher(
            table(methods),
            meter=self.books,
            max_held_bytes=options.pop("max_held_bytes", MAX_HELD_BYTES),
        )
        self.budget = dispatcher.budget
        self.gateways = Gateways(
            Endpoint(door, is_ready=lambda: self.is_ready),
            dispatcher,
            clock_ns=time.time_ns,
            count=self._count,
            limits=options.pop("limits", None),
            max_sessions=options.pop("max_sessions", MAX_SESSIONS),
            max_sessions_of_one=options.pop("max_sessions_of_one", MAX_SESSIONS_OF_ONE),
        )
        assert not options, options
        app = build_app(
            render=lambda _accept, _scraper: (b"", "text/plain"),
            readiness=lambda: (self.is_ready, {}),
            address="127.0.0.1:0",
            gateways=self.gateways,
        )
        sockets = bind("127.0.0.1:0", key="listen.http")
        self.server = HttpServer(app, sockets, gateways=self.gateways, context=context)
        self.port = self.server.port

    @property
    def url(self) -> str:
        """Return where a gateway dials."""
        return f"ws://127.0.0.1:{self.port}"

    def dial(
        self, key: str = RIGHT_KEY, *, limits: yamux.Limits | None = None
    ) -> AbstractAsyncContextManager[GatewayClient]:
        """Open a session."""
        return dialled(self.url, key=key, limits=limits)

    def errors(self, gateway: str = "eu") -> dict[str, int]:
        """Return how many mistakes of each kind a gateway has made."""
        name = "otelbridge.gateway.protocol_errors"
        return {key[2]: n for key, n in self.counted.items() if key[:2] == (name, gateway)}

    async def handshake(
        self,
        key: str | None = RIGHT_KEY,
        *,
        version: str = "version=1.0",
        path: str = PATH,
        **headers: str,
    ) -> Response:
        """Ask for a session; return the answer. A session is left at once."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        shown = {} if key is None else {"X-Coder-AI-Governance-Gateway-Key": key}
        return await self.ask(f"GET {path}?{version}", {**_HANDSHAKE, **shown, **named})

    async def ask(self, line: str, headers: Mapping[str, str]) -> Response:
        """Send a request over a connection of its own; return the answer."""
        lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        came = b""
        async with asyncio.timeout(PATIENCE_S), raw(self.port) as client:
            await client.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
            while not _is_whole(came) and (more := await client.receive()):
                came += more
        return Response(came)

    def _count(self, instrument: str, *values: str, amount: int = 1) -> None:
        self.counted[(instrument, *values)] += amount


def _is_whole(came: bytes) -> bool:
    head, end, body = came.partition(b"\r\n\r\n")
    if not end:
        return False
    _, _, length = head.lower().partition(b"content-length: ")
    return len(body) >= int(length.split(b"\r\n")[0] or 0)


@asynccontextmanager
async def running(
    handlers: Mapping[str, Callable[..., Any]] | None = None, **options: Any
) -> AsyncIterator[World]:
    """Run an endpoint.

    Args:
        handlers: Servicers' methods by ``Service/Method``; the others answer
            with an empty message.
        options: Limits, as `Gateways` and `Dispatcher` have them; ``context``
            for TLS.
    """
    world = World(handlers, **options)
    await world.server.start()
    try:
        yield world
    finally:
        await world.gateways.stop(0.0)
        await world.server.stop()


async def eventually(holds: Callable[[], bool], what: str = "") -> None:
    """Return as soon as something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  # the code under test knows no such event
            await asyncio.sleep(0.002)
    assert holds(), what
