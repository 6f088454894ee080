"""A gateway's side of a session, as a stock gateway behaves.

One stream a call; header and body of a frame as messages of their own; FIN
after the answer; a ping each 30 s.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from otelbridge.errors import ConfigError, ProtocolError, UnavailableError, escaped
from otelbridge.protocols import drpc, yamux
from otelbridge.transports.access import GATEWAY_KEY
from otelbridge.transports.gateway.endpoint import API_VERSION, BUILD_VERSION, PATH

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

_OPEN_LIMIT_S = 5.0
_UNIMPLEMENTED = 12
_VERSION = "{}.{}".format(*API_VERSION)
_MAX_MESSAGE_BYTES = 1024 * 1024
_MAX_TEXT = 200


class _Waiting(NamedTuple):
    """A call that waits for its answer."""

    transport: drpc.ClientTransport
    answer: asyncio.Future[tuple[str, str]]
    wants_all: bool


class GatewayClient:
    """Calls a bridge in one session. See `dialled`.

    Args:
        websocket: The connection, open.
        limits: What the bridge may do, and how often it is pinged.
    """

    def __init__(self, websocket: ClientConnection, *, limits: yamux.Limits) -> None:
        self._websocket = websocket
        self._loop = asyncio.get_running_loop()
        self._mux = yamux.Session(yamux.Role.CLIENT, limits=limits, now=self._loop.time())
        self._waiting: dict[int, _Waiting] = {}
        self._writable = asyncio.Event()
        self._tasks = [
            asyncio.create_task(step(), name=f"gateway client: {step.__name__}")
            for step in (self._read, self._write, self._keep_alive)
        ]

    async def call(self, rpc: str, raw: bytes, *, is_stream: bool = False) -> tuple[str, str]:
        """Make a call; return the name of its status, and the error's text.

        DRPC's errors have no status names: theirs are ``ERROR`` and ``UNIMPLEMENTED``.

        Args:
            rpc: ``Service/Method``.
            raw: The request.
            is_stream: Whether the answer is a stream: it is left after its first message.
        """
        transport = drpc.ClientTransport()
        answer: asyncio.Future[tuple[str, str]] = self._loop.create_future()
        try:
            stream_id = self._mux.open_stream()
        except UnavailableError as error:
            return "UNAVAILABLE", str(error)
        self._waiting[stream_id] = _Waiting(transport, answer, not is_stream)
        call_id = transport.invoke(f"/proto.{rpc}")
        transport.send_message(call_id, raw)
        transport.send_close(call_id)
        self._mux.send_data(stream_id, transport.data_to_send())
        self._writable.set()
        try:
            return await answer
        finally:
            transport.close(call_id)
            self._end(stream_id)

    async def close(self) -> None:
        """Say goodbye and close the connection."""
        self._mux.go_away()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            for message in self._mux.data_to_send(joined=False):
                await self._websocket.send(message)
        except ConnectionClosed:
            return
        await self._websocket.close()

    def _end(self, stream_id: int) -> None:
        waiting = self._waiting.pop(stream_id)
        if data := waiting.transport.data_to_send():
            self._mux.send_data(stream_id, data)
        self._mux.end_stream(stream_id)
        self._writable.set()

    async def _read(self) -> None:
        try:
            async for message in self._websocket:
                if isinstance(message, bytes):
                    self._mux.receive_data(message, now=self._loop.time())
                self._take_events()
        except (ConnectionClosed, ProtocolError):
            pass  # what waits is told below
        self._mux.receive_eof()
        self._take_events()
        for waiting in self._waiting.values():
            _settle(waiting, "UNAVAILABLE", f"the session has ended: {self._mux.reason}")

    async def _write(self) -> None:
        while True:
            await self._writable.wait()
            self._writable.clear()
            for message in self._mux.data_to_send(joined=False):
                await self._websocket.send(message)

    async def _keep_alive(self) -> None:
        while (deadline := self._mux.next_deadline()) is not None:
            await asyncio.sleep(max(0.0, deadline - self._loop.time()))
            try:
                self._mux.advance(self._loop.time())
            except ProtocolError:
                await self._websocket.close()
                return
            self._writable.set()

    def _take_events(self) -> None:
        for event in self._mux.events_received():
            if isinstance(event, yamux.DataReceived):
                self._mux.acknowledge(event.stream_id, len(event.data))
                self._receive(event.stream_id, event.data)
            elif isinstance(event, yamux.StreamEnded | yamux.StreamReset):
                if waiting := self._waiting.get(event.stream_id):
                    _settle(waiting, "UNAVAILABLE", "the bridge has ended the stream")
        self._writable.set()

    def _receive(self, stream_id: int, data: bytes) -> None:
        waiting = self._waiting.get(stream_id)
        if waiting is None:
            return
        try:
            waiting.transport.receive_data(data)
        except ProtocolError as error:
            _settle(waiting, "INTERNAL", str(error))
            self._mux.reset_stream(stream_id)
            return
        for event in waiting.transport.events_received():
            if isinstance(event, drpc.CallFailed):
                name = "UNIMPLEMENTED" if event.code == _UNIMPLEMENTED else "ERROR"
                _settle(waiting, name, event.text)
            elif isinstance(event, drpc.CallEnded) or not waiting.wants_all:
                _settle(waiting, "OK", "")


def _settle(waiting: _Waiting, code: str, text: str) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result((code, text))


@asynccontextmanager
async def dialled(
    url: str,
    *,
    key: str,
    context: ssl.SSLContext | None = None,
    limits: yamux.Limits | None = None,
) -> AsyncIterator[GatewayClient]:
    """Open a session at a bridge.

    Args:
        url: ``ws://HOST:PORT`` or ``wss://HOST:PORT``.
        key: The gateway's key.
        context: For ``wss``.
        limits: What the bridge may do, and how often it is pinged.

    Raises:
        ConfigError: If no bridge answers there within 5 s, or it refuses.
    """
    headers = {GATEWAY_KEY: key, BUILD_VERSION: "otelbridge"}
    dialling = connect(
        f"{url}{PATH}?version={_VERSION}",
        additional_headers=headers,
        ssl=context,
        compression=None,
        max_size=_MAX_MESSAGE_BYTES,
        ping_interval=None,
        open_timeout=_OPEN_LIMIT_S,
        proxy=None,  # a bridge is a neighbour; a proxy is for the world outside
    )
    try:
        websocket = await dialling
    except InvalidStatus as error:
        raise ConfigError("", f"the bridge refuses: {_refusal(error)}") from None
    except (OSError, TimeoutError, EOFError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError("", f"no bridge answers at {url}: {reason}") from None
    client = GatewayClient(websocket, limits=limits or yamux.Limits())
    try:
        yield client
    finally:
        await client.close()


def _refusal(error: InvalidStatus) -> str:
    body = (error.response.body or b"").decode("utf-8", "replace")
    return f"{error.response.status_code} {escaped(body.strip(), _MAX_TEXT)}"
