"""A gateway's side of a session, as a stock gateway behaves.

One stream a call; header and body of a frame as messages of their own; FIN
after the answer; a ping each 30 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from otelbridge.errors import (
    ConfigError,
    LimitExceededError,
    ProtocolError,
    UnavailableError,
    escaped,
)
from otelbridge.protocols import drpc, yamux
from otelbridge.transports.access import GATEWAY_KEY
from otelbridge.transports.gateway.endpoint import API_VERSION, BUILD_VERSION, PATH
from otelbridge.transports.status import INTERNAL

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from websockets.asyncio.client import ClientConnection

#: How long a bridge may take to answer a call, in seconds.
CALL_LIMIT_S = 30.0
_OPEN_LIMIT_S = 5.0
_UNIMPLEMENTED = 12
_VERSION = "{}.{}".format(*API_VERSION)
_MAX_TEXT = 200


class Status(NamedTuple):
    """How a call ended.

    Attributes:
        code: ``OK``, or what comes nearest: DRPC's errors have texts, and no
            status names; most are ``ERROR``.
        text: The error's text.
    """

    code: str
    text: str = ""


class _Call:
    """A call that waits for its answer.

    Args:
        transport: The DRPC transport of its stream.
        on_message: Takes each message; returns whether there is to be more.
    """

    def __init__(
        self, transport: drpc.ClientTransport, on_message: Callable[[bytes], bool]
    ) -> None:
        self.transport = transport
        self.status: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._on_message = on_message

    def settle(self, code: str, text: str = "") -> None:
        """End the call, unless it has ended."""
        if not self.status.done():
            self.status.set_result(Status(code, text))

    def take(self, event: drpc.ClientEvent) -> None:
        """Take an event of the transport."""
        if isinstance(event, drpc.MessageReceived):
            if not self._on_message(event.data):
                self.settle("OK")
        elif isinstance(event, drpc.CallFailed):
            self.settle(_name(event), event.text)
        elif isinstance(event, drpc.CallEnded):
            self.settle("OK")
        elif isinstance(event, drpc.CallCancelled):
            self.settle("CANCELLED", "the bridge has cancelled the call")


class GatewayClient:
    """Calls a bridge in one session; implements `otelbridge.transports.client.Caller`.

    Made by `dialled`.

    Args:
        websocket: The connection, open.
        limits: What the bridge may do, and how often it is pinged.
    """

    def __init__(self, websocket: ClientConnection, *, limits: yamux.Limits) -> None:
        self._websocket = websocket
        self._loop = asyncio.get_running_loop()
        self._mux = yamux.Session(yamux.Role.CLIENT, limits=limits, now=self._loop.time())
        self._calls: dict[int, _Call] = {}
        self._writable = asyncio.Event()
        self._tasks = [
            asyncio.create_task(step(), name=f"gateway client: {step.__name__}")
            for step in (self._read, self._write, self._keep_alive)
        ]

    async def call(self, rpc: str, raw: bytes, *, is_stream: bool = False) -> tuple[str, str]:
        """Make a call; see `Caller`."""
        return await self.exchange(rpc, raw, lambda _message: not is_stream)

    async def exchange(self, rpc: str, raw: bytes, on_message: Callable[[bytes], bool]) -> Status:
        """Make a call; return how it ended.

        Args:
            rpc: ``Service/Method``.
            raw: The request.
            on_message: Takes each message of the answer; returns whether more
                are wanted: if not, the call is left, and is OK.
        """
        transport = drpc.ClientTransport()
        call_id = transport.invoke(f"/proto.{rpc}")
        try:
            transport.send_message(call_id, raw)
            transport.send_close(call_id)
            stream_id = self._open(transport.data_to_send())
        except UnavailableError as error:
            return Status("UNAVAILABLE", str(error))
        except LimitExceededError as error:
            return Status("RESOURCE_EXHAUSTED", str(error))
        call = self._calls[stream_id] = _Call(transport, on_message)
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                return await call.status
        except TimeoutError:
            return Status("DEADLINE_EXCEEDED", f"no answer within {CALL_LIMIT_S:g} s")
        finally:
            transport.close(call_id)
            self._end(stream_id)

    async def wait_closed(self) -> str:
        """Return why the session is over, as soon as it is."""
        await asyncio.wait({self._tasks[0]})
        return self._mux.reason

    async def close(self) -> None:
        """Say goodbye and close the connection."""
        self._mux.go_away()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(ConnectionClosed):
            for message in self._mux.data_to_send(joined=False):
                await self._websocket.send(message)
        await self._websocket.close()

    def _open(self, data: bytes) -> int:
        """Open a stream and send what begins a call on it."""
        stream_id = self._mux.open_stream()
        self._writable.set()
        try:
            self._mux.send_data(stream_id, data)
        except LimitExceededError:
            self._mux.reset_stream(stream_id)
            raise
        return stream_id

    def _end(self, stream_id: int) -> None:
        """Leave a stream: FIN, after what is to be said yet."""
        call = self._calls.pop(stream_id)
        with contextlib.suppress(LimitExceededError):
            self._mux.send_data(stream_id, call.transport.data_to_send())
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
        finally:
            self._mux.receive_eof()
            self._take_events()
            for call in self._calls.values():
                call.settle("UNAVAILABLE", f"the session has ended: {self._mux.reason}")

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # the reader tells
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
            self._writable.set()

    def _take_events(self) -> None:
        for event in self._mux.events_received():
            if isinstance(event, yamux.DataReceived):
                self._mux.acknowledge(event.stream_id, len(event.data))
                self._receive(event.stream_id, event.data)
            elif isinstance(event, yamux.StreamEnded | yamux.StreamReset):
                self._lose(event.stream_id)
        self._writable.set()

    def _receive(self, stream_id: int, data: bytes) -> None:
        call = self._calls.get(stream_id)
        if call is None:
            return
        try:
            call.transport.receive_data(data)
        except ProtocolError as error:
            call.settle("INTERNAL", str(error))
            self._mux.reset_stream(stream_id)
        for event in call.transport.events_received():
            call.take(event)

    def _lose(self, stream_id: int) -> None:
        call = self._calls.get(stream_id)
        if call is not None:
            call.settle("UNAVAILABLE", "the bridge has ended the stream")


class _Dialling(connect):
    """Dials one address: whoever a redirect names is not shown the key."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Return what ends the attempt."""
        return exc


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
    if not key.isascii() or not key.isprintable():
        raise ConfigError("", "the gateway key holds characters that no header can carry")
    dialling = _Dialling(
        f"{url}{PATH}?version={_VERSION}",
        additional_headers={GATEWAY_KEY: key, BUILD_VERSION: "otelbridge"},
        ssl=context,
        compression=None,
        max_size=yamux.MAX_MESSAGE_BYTES,  # a stock gateway reads no larger one
        ping_interval=None,
        open_timeout=_OPEN_LIMIT_S,
        proxy=None,  # a bridge is a neighbour; a proxy is for the world outside
    )
    try:
        websocket = await dialling
    except InvalidStatus as error:
        raise ConfigError("", f"{url} refuses: {_refusal(error)}") from None
    except TimeoutError:
        raise ConfigError("", f"no bridge answers at {url} within {_OPEN_LIMIT_S:g} s") from None
    except (OSError, EOFError, WebSocketException) as error:
        raise ConfigError("", f"no bridge answers at {url}: {_reason(error)}") from None
    client = GatewayClient(websocket, limits=limits or yamux.Limits())
    try:
        yield client
    finally:
        await client.close()


def _name(failed: drpc.CallFailed) -> str:
    if failed.code == _UNIMPLEMENTED:
        return "UNIMPLEMENTED"
    return INTERNAL.code.name if failed.text == INTERNAL.text else "ERROR"


def _refusal(error: InvalidStatus) -> str:
    """Return what a bridge says of a refusal, or another server's first words."""
    body = (error.response.body or b"").decode("utf-8", "replace")
    with contextlib.suppress(ValueError, TypeError, KeyError):
        answer = json.loads(body)
        body = " ".join(filter(None, (answer["message"], answer.get("detail"))))
    return f"{error.response.status_code} {escaped(body.strip(), _MAX_TEXT)}"


def _reason(error: Exception) -> str:
    found = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return escaped(found[:1].lower() + found[1:], _MAX_TEXT)
